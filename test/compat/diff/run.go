package diff

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Runner runs scenarios on both brokers.
type Runner struct {
	RabbitMQ, Warren *Broker

	run  string // makes names of this process unique
	runs atomic.Uint32
}

// NewRunner makes one. Its names are not those of any other's.
func NewRunner(rabbit, warren *Broker) *Runner {
	return &Runner{RabbitMQ: rabbit, Warren: warren, run: fmt.Sprintf("%04x", rand.IntN(1<<16))}
}

// Try runs a scenario with every kind of queue and says what is wrong, one
// text for each kind that fails.
func (r *Runner) Try(ctx context.Context, sc *Scenario) []string {
	var all sync.WaitGroup
	references := make(map[Kind]*[]string)
	if sc.Want == "" {
		for _, k := range sc.kinds() {
			ref := k.reference()
			if references[ref] == nil {
				lines := new([]string)
				references[ref] = lines
				all.Go(func() { *lines = r.transcript(ctx, r.RabbitMQ, sc, ref) })
			}
		}
	}
	got := make([][]string, len(sc.kinds()))
	all.Go(func() { // one kind after the other: runs of one scenario are not for load
		for i, k := range sc.kinds() {
			got[i] = r.transcript(ctx, r.Warren, sc, k)
		}
	})
	all.Wait()
	var wrong []string
	for i, k := range sc.kinds() {
		why := sc.judge(references[k.reference()], got[i])
		if why != "" {
			wrong = append(wrong, fmt.Sprintf("queues: %s\n%s", k, why))
		}
	}
	return wrong
}

// Show is the transcripts of one broker, where the other was not started.
func (r *Runner) Show(ctx context.Context, sc *Scenario) string {
	b := r.RabbitMQ
	if b == nil {
		b = r.Warren
	}
	var all []string
	for _, k := range sc.kinds() {
		if b == r.RabbitMQ && k != k.reference() {
			continue
		}
		all = append(all, fmt.Sprintf("queues: %s\n    %s", k, strings.Join(r.transcript(ctx, b, sc, k), "\n    ")))
	}
	return strings.Join(all, "\n")
}

// judge compares Warren's transcript with what is expected; "" is well.
func (sc *Scenario) judge(reference *[]string, got []string) string {
	if last := got[len(got)-1]; strings.HasPrefix(last, stoppedMark) && !strings.Contains(sc.Want+sc.Delta, last) {
		return sc.compared(reference, got) + "\n  the program has to come to its end on Warren"
	}
	return sc.compared(reference, got)
}

func (sc *Scenario) compared(reference *[]string, got []string) string {
	if reference == nil {
		if want := tidy(sc.Want); strings.Join(got, "\n") != want {
			return "- wanted, + got:\n" + whole(compare(strings.Split(want, "\n"), got))
		}
		return ""
	}
	edits := compare(sc.upgraded(*reference), got)
	have, want := changes(edits), tidy(sc.Delta)
	if have == want {
		return ""
	}
	why := "- RabbitMQ, + Warren:\n" + whole(edits)
	if want != "" {
		why += "\n  expected to differ in:\n    " + strings.ReplaceAll(want, "\n", "\n    ")
	}
	return why
}

// upgraded is RabbitMQ's transcript as the scenario's Upgrade has it.
func (sc *Scenario) upgraded(lines []string) []string {
	if sc.Upgrade == nil {
		return lines
	}
	var all []string
	for _, l := range lines {
		if l = sc.Upgrade(l); l != "" {
			all = append(all, l)
		}
	}
	return all
}

// transcript is one run on one broker.
func (r *Runner) transcript(ctx context.Context, b *Broker, sc *Scenario, k Kind) []string {
	n := r.runs.Add(1)
	limited, cancel := context.WithTimeout(ctx, sc.limit())
	defer cancel()
	s := &S{
		ctx: limited, broker: b, kind: k, counters: sc.Counters, first: int(n % 3),
		suffix: fmt.Sprintf("-%s%04x", r.run, n&0xffff), seen: make(map[string]string),
	}
	s.play(sc.Run)
	ending, cancel2 := context.WithTimeout(ctx, 10*time.Second)
	defer cancel2()
	lines := s.lines // of the cleanup nothing is said
	s.end(ending)
	return lines
}

// play runs the program until it ends or is stopped.
func (s *S) play(program func(*S)) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil, stopped:
		default: // a fault of the program must not end the other ones
			s.Record("%s%v\n%s", stoppedMark, r, debug.Stack())
		}
	}()
	program(s)
	if len(s.lines) == 0 {
		s.Record("nothing")
	}
}
