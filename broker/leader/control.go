package leader

import (
	"errors"
	"time"

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
	acked   []*attachment         // whose settlements are in this batch
	events  []deferred            // sent once it is committed
	then    []func()              // done once it is committed
	telling map[queue.ID]struct{} // queues whose log must hear what is out
	flights int
}

type settleKey struct {
	queue queue.ID
	fate  fate
}

// settling is what became of some messages of one queue.
type settling struct {
	queue   queue.ID
	fate    fate
	ranges  []queue.Range
	count   int
	bytes   uint64 // of bodies, as far as known
	unknown bool   // not of all of them
}

// command is how it is logged.
func (s *settling) command() queue.Command {
	bytes := s.bytes
	if s.unknown {
		bytes = queue.UnknownBytes
	}
	switch s.fate {
	case acked:
		return queue.Settle{Queue: s.queue, Kind: queue.Ack, Ranges: s.ranges, Bytes: bytes}
	case rejected:
		return queue.Settle{Queue: s.queue, Kind: queue.Reject, Ranges: s.ranges, Bytes: bytes}
	case expired:
		return queue.Settle{Queue: s.queue, Kind: queue.Expire, Ranges: s.ranges, Bytes: bytes}
	case dropped:
		return queue.Settle{Queue: s.queue, Kind: queue.Drop, Ranges: s.ranges, Bytes: bytes}
	case requeued, failed:
		return queue.Requeue{Queue: s.queue, Failed: s.fate == failed, Ranges: s.ranges}
	case lettered:
		return queue.DeadLettered{Queue: s.queue, Ranges: s.ranges}
	default:
		panic("leader: a settlement of no kind") // the list above is the list of fates
	}
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
	s     *sub // whose deliveries it has; nil: none
}

// send lets event follow the commit of this batch.
func (c *controlBatch) send(at *attachment, event Event) {
	c.events = append(c.events, deferred{at: at, event: event})
}

// deliver lets deliveries to s follow the commit of this batch.
func (c *controlBatch) deliver(s *sub, event Event) {
	s.deferred++
	c.events = append(c.events, deferred{s.at, event, s})
}

// settle adds one message to the batch: see Engine.end.
func (c *controlBatch) settle(id queue.ID, f fate, seq uint64, bytes int) {
	if c.index == nil {
		c.index = make(map[settleKey]int)
	}
	key := settleKey{id, f}
	i, ok := c.index[key]
	if !ok {
		i = len(c.settles)
		c.settles = append(c.settles, settling{queue: id, fate: f})
		c.index[key] = i
	}
	s := &c.settles[i]
	s.count++
	s.bytes += uint64(max(bytes, 0))
	s.unknown = s.unknown || bytes == unknownBytes
	s.ranges = appendSeq(s.ranges, seq)
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
	for i := range c.settles {
		cs = append(cs, c.settles[i].command())
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
	e.tellHeld()
	if c.empty() {
		if c.flights == 0 { // nothing to wait for
			e.sendDeferred(c.events)
			e.acknowledge(c.acked)
			then := c.then
			c.events, c.acked, c.then = nil, c.acked[:0], nil
			for _, f := range then {
				f()
			}
		}
		return
	}
	settles, questions, acked, events, then := c.settles, c.asked, c.acked, c.events, c.then
	commands := c.commands()
	numbers := make([]uint64, len(acked))
	for i, at := range acked {
		numbers[i] = at.number
	}
	c.settles, c.asked, c.acked, c.events, c.then, c.index = nil, nil, nil, nil, nil, nil
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
			e.committed(settles, answers)
			for i, q := range questions {
				if q.done != nil {
					q.done(answers[len(settles)+i])
				}
			}
			e.sendDeferred(events)
			for i, at := range acked {
				at.out.Send(Settled{Number: numbers[i]})
			}
			for _, f := range then {
				f()
			}
		})
	})
}

// sendDeferred sends what waited for a commit to those that are still there.
func (e *Engine) sendDeferred(events []deferred) {
	for _, d := range events {
		if d.s != nil {
			d.s.deferred--
		}
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
func (e *Engine) committed(settles []settling, answers []queue.Answer) {
	for i := range settles {
		s := &settles[i]
		q := e.queues[s.queue]
		if q == nil {
			continue
		}
		if s.fate == lettered {
			if e.refresh(q) {
				e.look(q)
			}
			continue
		}
		q.leaving -= s.count
		q.leavingBytes -= s.bytes
		if missing := uint64(s.count) - answers[i].Count; s.fate.returns() {
			q.settled += missing // they died of it
		} else {
			q.ended -= min(missing, q.ended) // they were settled before
		}
		if len(q.gone) > 0 {
			q.goneMost = max(q.goneMost, len(q.gone))
			for _, r := range s.ranges {
				for seq := r.First; seq <= r.Last; seq++ {
					delete(q.gone, seq)
				}
			}
			q.gone = lean(q.gone, &q.goneMost)
		}
		switch {
		case s.fate.returns():
			q.returning -= s.count
			e.comeBack(q, s.ranges)
			e.look(q)
		case q.mortal() || q.limited() || q.stalled || !q.parting.IsZero(): // something may have waited for it
			e.look(q)
		}
		if s.fate != acked && (q.settings.DeadLetters || q.settings.Delays != "") && e.refresh(q) {
			e.look(q)
		}
	}
}

// comeBack makes messages ready again, in their places, but for those whose time
// is over.
func (e *Engine) comeBack(q *served, ranges []queue.Range) {
	if !q.prioritized() && !q.mortal() {
		for _, r := range ranges {
			for seq := r.First; seq <= r.Last; seq++ {
				q.putBack(seq, 0)
			}
		}
		return
	}
	var items []queue.Item
	e.cfg.Log.Locked(func(st *queue.State) {
		sq := st.Queue(q.id)
		for _, r := range ranges {
			items = appendLive(items, sq, r)
		}
	})
	now := time.Now().UnixNano()
	for _, it := range items {
		if !it.Deadline.IsZero() && q.ends.over(it.Seq, it.Deadline.UnixNano(), now, false) {
			e.kill(q, expired, it)
			continue
		}
		q.putBack(it.Seq, it.Priority)
	}
}

// appendLive lists what is not settled of r. sq may be nil.
func appendLive(items []queue.Item, sq *queue.Queue, r queue.Range) []queue.Item {
	if sq == nil || r.First == 0 {
		return items
	}
	for it, ok := sq.After(r.First - 1); ok && it.Seq <= r.Last; it, ok = sq.After(it.Seq) {
		items = append(items, it)
	}
	return items
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
