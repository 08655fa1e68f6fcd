package leader

import (
	"errors"

	"github.com/warrenmq/warren/broker/queue"
)

// controlFlights is how many control batches may be under way at once: while
// they are, what comes in is gathered for the next.
const controlFlights = 2

// controlBatch gathers what the leader wants logged: settlements, requeues,
// marks, and commands with an answer of their own.
type controlBatch struct {
	settles []settling // in the order of their first message
	index   map[settleKey]int
	asked   []asked
	acked   []*attachment // whose settlements are in this batch
	events  []deferred    // sent once it is committed
	flights int
}

type settleKey struct {
	queue queue.ID
	kind  Answer
}

// settling is what became of some messages of one queue.
type settling struct {
	queue  queue.ID
	kind   Answer // Ack, Reject or Requeue
	ranges []queue.Range
	count  int
	bytes  uint64 // of bodies, as far as known
}

// asked is a command whose answer somebody waits for.
type asked struct {
	command queue.Command
	done    func(queue.Answer)
}

// deferred is an event that waits for a commit.
type deferred struct {
	at    *attachment
	event Event
}

// send lets event follow the commit of this batch.
func (c *controlBatch) send(at *attachment, event Event) {
	c.events = append(c.events, deferred{at, event})
}

// settle adds one message to the batch. The caller has taken it from q.out.
func (c *controlBatch) settle(id queue.ID, kind Answer, seq uint64, bytes int) {
	if c.index == nil {
		c.index = make(map[settleKey]int)
	}
	key := settleKey{id, kind}
	i, ok := c.index[key]
	if !ok {
		i = len(c.settles)
		c.settles = append(c.settles, settling{queue: id, kind: kind})
		c.index[key] = i
	}
	s := &c.settles[i]
	s.count++
	s.bytes += uint64(bytes)
	if n := len(s.ranges); n > 0 && s.ranges[n-1].Last+1 == seq {
		s.ranges[n-1].Last = seq
		return
	}
	s.ranges = append(s.ranges, queue.Range{First: seq, Last: seq})
}

// ask adds a command; done hears its answer on the engine's goroutine, and
// nothing when the leadership ends first.
func (c *controlBatch) ask(command queue.Command, done func(queue.Answer)) {
	c.asked = append(c.asked, asked{command, done})
}

func (c *controlBatch) empty() bool { return len(c.settles) == 0 && len(c.asked) == 0 }

// commands lists the batch: settlements first, so that what is asked about a
// queue sees them.
func (c *controlBatch) commands() []queue.Command {
	cs := make([]queue.Command, 0, len(c.settles)+len(c.asked))
	for _, s := range c.settles {
		switch s.kind {
		case Ack:
			cs = append(cs, queue.Settle{Queue: s.queue, Kind: queue.Ack, Ranges: s.ranges, Bytes: s.bytes})
		case Reject:
			cs = append(cs, queue.Settle{Queue: s.queue, Kind: queue.Reject, Ranges: s.ranges, Bytes: s.bytes})
		case Requeue:
			cs = append(cs, queue.Requeue{Queue: s.queue, Ranges: s.ranges})
		}
	}
	for _, a := range c.asked {
		cs = append(cs, a.command)
	}
	return cs
}

// flushControl proposes what has gathered, unless enough is under way.
func (e *Engine) flushControl() {
	c := &e.control
	if c.flights >= controlFlights {
		return
	}
	if c.empty() {
		if c.flights == 0 { // nothing to wait for
			e.sendDeferred(c.events)
			e.acknowledge(c.acked)
			c.events, c.acked = nil, c.acked[:0]
		}
		return
	}
	settles, questions, acked, events := c.settles, c.asked, c.acked, c.events
	commands := c.commands()
	numbers := make([]uint64, len(acked))
	for i, at := range acked {
		numbers[i] = at.number
	}
	c.settles, c.asked, c.acked, c.events, c.index = nil, nil, nil, nil, nil
	c.flights++
	e.cfg.Log.Propose(queue.EncodeCommands(commands...), func(answers []queue.Answer, err error) {
		e.inbox.post(func() {
			c.flights--
			if err != nil {
				// Whether it was committed is not known; the next leader learns from
				// the edges what they hold and what they have answered.
				e.fail(err)
				return
			}
			e.committed(settles)
			for i, q := range questions {
				if q.done != nil {
					q.done(answers[len(settles)+i])
				}
			}
			e.sendDeferred(events)
			for i, at := range acked {
				at.out.Send(Settled{Number: numbers[i]})
			}
		})
	})
}

// sendDeferred sends what waited for a commit to those that are still there.
func (e *Engine) sendDeferred(events []deferred) {
	for _, d := range events {
		if d.at.attached {
			d.at.out.Send(d.event)
		}
	}
}

// acknowledge tells edges that their settlements need no commit.
func (e *Engine) acknowledge(ats []*attachment) {
	for _, at := range ats {
		at.out.Send(Settled{Number: at.number})
	}
}

// committed takes note of settlements that are applied.
func (e *Engine) committed(settles []settling) {
	for _, s := range settles {
		q := e.queues[s.queue]
		if q == nil {
			continue
		}
		q.leaving -= s.count
		if s.kind == Requeue {
			q.returning -= s.count
		}
		for _, r := range s.ranges {
			for seq := r.First; seq <= r.Last; seq++ {
				if len(q.gone) > 0 {
					delete(q.gone, seq)
				}
				if s.kind == Requeue {
					q.putBack(seq)
				}
			}
		}
		if s.kind == Requeue {
			e.dirty[q.id] = struct{}{}
		}
	}
}

// fail ends the engine: it cannot trust its picture of the log any more.
func (e *Engine) fail(err error) {
	if !errors.Is(err, ErrNotLeading) {
		e.logger.Warn("queue group: control batch failed, leadership starts anew", "error", err)
	}
	if e.err == nil {
		e.err = err
	}
	e.stop()
}
