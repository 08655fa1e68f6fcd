package diff

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

// Short is what a node may lack.
type Short string

// The resources.
const (
	Memory Short = "memory"
	Disk   Short = "disk"
)

// told is how long Warren's nodes may take to tell each other that they are
// short. No node shows what it has heard of the others.
const told = 1200 * time.Millisecond

// bounds is how to raise an alarm and to take it back: rabbitmqctl's command,
// and its argument, which Warren's nodes are told as it is.
func (w Short) bounds() (command, on, off string) {
	if w == Memory {
		return "set_vm_memory_high_watermark", "0.0000001", "0.6"
	}
	return "set_disk_free_limit", "1000000000000000", "50000000"
}

// Alarm makes nodes short of a resource, all of them when none is named, and
// gives what ends it, which the end of the run does too. RabbitMQ has one node.
// Its scenarios must run alone.
func (s *S) Alarm(what Short, nodes ...int) (end func()) {
	_, on, off := what.bounds()
	s.limit(what, on, nodes)
	if s.broker.warren {
		s.Pause(told)
	}
	s.Record("%s is short", what)
	lasts := true
	s.Cleanup(func() {
		if lasts {
			s.limit(what, off, nodes)
		}
	})
	return func() {
		s.limit(what, off, nodes)
		lasts = false
		s.Record("%s suffices", what)
	}
}

func (s *S) limit(what Short, value string, nodes []int) {
	if !s.broker.warren {
		command, _, _ := what.bounds()
		if err := cluster.RabbitMQCtl(s.ctx, "r1", s.broker.Ctl, command, value); err != nil {
			s.stop("%v", err)
		}
		return
	}
	for i, client := range s.broker.clients {
		if len(nodes) > 0 && !slices.Contains(nodes, i+1) {
			continue
		}
		req, err := http.NewRequestWithContext(s.ctx, http.MethodPut, "http://warren/limits/"+string(what), strings.NewReader(value))
		if err != nil {
			s.stop("%v", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			s.stop("%v", err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			s.stop("limit of %s: %s %s", what, resp.Status, answer)
		}
	}
}
