package leader_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// marks writes down the Marks that go into the log.
type marks struct {
	leader.Log
	mu   sync.Mutex
	list []queue.Mark
}

func (l *marks) Propose(batch []byte, done func([]queue.Answer, error)) {
	commands, err := queue.Decode(batch)
	l.mu.Lock()
	for _, c := range commands {
		if m, ok := c.(queue.Mark); ok && err == nil {
			l.list = append(l.list, m)
		}
	}
	l.mu.Unlock()
	l.Log.Propose(batch, done)
}

func (l *marks) take() (list []queue.Mark) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	list, l.list = l.list, nil
	return list
}

// A leader that hands over says how far deliveries came, and delivers nothing more; if
// it stays after all, it reserves anew before it goes on.
func TestAResigningLeaderSaysHowFarItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &marks{}
		r := newRig(t, leader.Config{Log: log, Term: 7})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		r.publish("1", "2", "3", "4", "5")
		o.take()
		if got := log.take(); len(got) != 1 || got[0].Seq < 4096 || got[0].Term != 0 {
			t.Fatalf("reserved %+v", got)
		}
		if err := r.engine.Resign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := log.take(); !slices.Equal(got, []queue.Mark{{Queue: q1, Seq: 3, Term: 7}}) {
			t.Errorf("the last word is %+v", got)
		}
		request(t, at, leader.Credit{Sub: 1, Messages: 1})
		if got := o.take(); len(got) != 0 {
			t.Errorf("a leader that has resigned delivers %q", got)
		}
		if err := r.engine.Resign(t.Context()); err != nil || len(log.take()) != 0 {
			t.Errorf("resigning twice: %v", err)
		}
		r.engine.Stay()
		if got := fmt.Sprint(o.take()); got != "[1:4]" {
			t.Errorf("a leader that stays delivers %s", got)
		}
		if got := log.take(); len(got) != 1 || got[0].Seq < 4096 || got[0].Term != 0 {
			t.Errorf("and reserves %+v", got)
		}
	})
}

// While nothing can be committed the handover does not wait for ever.
func TestResigningEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{}
		r := newRig(t, leader.Config{Log: log, Term: 7})
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: consumer(3)})
		r.publish("1")
		o.take()
		log.hold(true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.engine.Resign(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil {
			t.Error("resigned without a commit")
		}
		log.hold(false)
	})
}
