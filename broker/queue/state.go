package queue

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/warrenmq/warren/broker/level"
)

// State is the state machine of one group: its queues and its publishing sessions. It is
// not safe for concurrent use.
//
// It keeps one session for each incarnation that ever published to the group, so their
// number is bounded by the nodes that ever belonged to the cluster.
type State struct {
	queues   map[ID]*Queue
	sessions map[uint64]progress // by incarnation
	level    uint64              // that the log has turned on
	trial    trial

	frozen *Frozen // the snapshot that is being encoded; nil: none

	applies uint64 // calls of Apply, to list a queue once in touched; no part of the state
	touched []ID
	load    load // of the section that Apply is at
}

// progress is how far a session has come, and what was refused of its last batches: a batch
// sent again is answered as it was before.
type progress struct {
	epoch, seq uint64
	refused    []refusal // ascending
}

// refusal are the ordinals of a batch that were refused, and the queues that were sealed.
type refusal struct {
	seq      uint64
	ordinals []uint32
	sealed   []ID
}

// refusalsKept is how many batches back refusals are remembered: more than an edge has
// under way at once.
const refusalsKept = 64

// refusedOf is what was refused of an earlier batch.
func (p *progress) refusedOf(seq uint64) (ordinals []uint32, sealed []ID) {
	for _, r := range p.refused {
		if r.seq == seq {
			return slices.Clone(r.ordinals), slices.Clone(r.sealed)
		}
	}
	return nil, nil
}

// advance notes the next batch and what was refused of it. Slices that a copy of p has are not changed.
func (p *progress) advance(seq uint64, ordinals []uint32, sealed []ID) {
	p.seq = seq
	old := 0
	for old < len(p.refused) && p.refused[old].seq+refusalsKept <= seq {
		old++
	}
	p.refused = slices.Clip(p.refused[old:])
	if len(ordinals) > 0 || len(sealed) > 0 {
		p.refused = append(p.refused, refusal{seq, ordinals, sealed})
	}
	if len(p.refused) == 0 {
		p.refused = nil
	}
}

// NewState is a group before its first entry.
func NewState() *State {
	return &State{queues: make(map[ID]*Queue), sessions: make(map[uint64]progress), level: level.First}
}

// Apply moves the group one log entry forward. It is a pure function of the state and the
// entry: no clock but the entry's, no randomness, no map order, no I/O. It returns an answer
// for each command, and the queues that have new or returned messages or new dead letters, or that
// were configured, sealed, unsealed, purged or forgotten, each once; the next call reuses touched.
func (s *State) Apply(e Entry) (answers []Answer, touched []ID) {
	s.applies++
	s.touched = s.touched[:0]
	m := moment{index: e.Index, term: e.Term, at: e.AppendedAt.UnixNano(), apply: s.applies}
	answers = make([]Answer, len(e.Commands))
	for i, c := range e.Commands {
		answers[i] = s.apply(m, c)
	}
	return answers, s.touched
}

func (s *State) apply(m moment, c Command) Answer {
	switch c := c.(type) {
	case Publish:
		return s.publish(m, c)
	case Configure:
		return s.configure(c)
	case Settle:
		return s.on(c.Queue, func(q *Queue) uint64 { return s.settle(m, q, c) })
	case Requeue:
		return s.on(c.Queue, func(q *Queue) uint64 { return s.requeue(m, q, c) })
	case DeadLettered:
		return s.on(c.Queue, func(q *Queue) uint64 { return q.deadLettered(c) })
	case Held:
		return s.on(c.Queue, func(q *Queue) uint64 { q.heldMessages, q.heldBytes = c.Messages, c.Bytes; return 0 })
	case Seal:
		return s.on(c.Queue, func(q *Queue) uint64 { return s.seal(q, c) })
	case Unseal:
		return s.on(c.Queue, func(q *Queue) uint64 { return s.unseal(q) })
	case Forget:
		return s.on(c.Queue, func(q *Queue) uint64 { return s.forget(q) })
	case Purge:
		return s.on(c.Queue, func(q *Queue) uint64 { return s.purge(q, c) })
	case Level:
		return s.raise(c)
	case Mark:
		return s.on(c.Queue, func(q *Queue) uint64 { q.markTo(m, c); return 0 })
	default:
		panic(fmt.Sprintf("queue: command of unknown kind %T", c)) // a replica that skipped it would diverge
	}
}

// on runs a command of one queue, which returns how many messages it concerned.
func (s *State) on(id ID, command func(*Queue) uint64) Answer {
	q := s.queues[id]
	if q == nil {
		return Answer{Status: NoQueue}
	}
	s.frozen.keep(q)
	return Answer{Status: Applied, Count: command(q)}
}

func (s *State) touch(q *Queue) {
	if q.touched != s.applies {
		q.touched = s.applies
		s.touched = append(s.touched, q.id)
	}
}

// publish appends a batch unless its session has come that far already. A queue that is not
// here yet is made: its definition can be known to publishers before its Configure is
// applied, and a message that was taken in between must not be lost (one that was deleted
// is forgotten again by the leader's reconciler). A sealed queue takes nothing, and the
// answer says so: should its deletion not come about, nothing was confirmed and dropped.
func (s *State) publish(m moment, c Publish) Answer {
	p := s.sessions[c.Session.Incarnation]
	switch {
	case c.Session.Epoch < p.epoch:
		return Answer{Status: Stale, Seq: p.seq}
	case c.Session.Epoch > p.epoch:
		p = progress{epoch: c.Session.Epoch}
	}
	switch {
	case c.Seq == 0 || c.Seq > p.seq+1:
		return Answer{Status: Gap, Seq: p.seq} // a newer epoch takes over with its first batch, not here
	case c.Seq <= p.seq:
		refused, sealed := p.refusedOf(c.Seq)
		return Answer{Status: Repeated, Seq: p.seq, Refused: refused, Sealed: sealed}
	}
	var refused []uint32
	var sealed []ID
	for i := range c.Sections {
		s.load.open(c.batch, &c.Sections[i])
		before := len(refused)
		for _, id := range c.Sections[i].Queues {
			q := s.queues[id]
			if q == nil {
				q = newQueue(id)
				s.queues[id] = q
			} else {
				s.frozen.keep(q)
			}
			if q.sealed {
				sealed = append(sealed, id)
				continue
			}
			next, died := q.next, q.died
			refused = q.publish(m, &s.load, refused)
			if q.next > next || q.died > died {
				s.touch(q)
			}
		}
		if len(refused) > before && len(c.Sections[i].Queues) > 1 { // one queue's refusal is the message's
			slices.Sort(refused[before:])
			refused = append(refused[:before], slices.Compact(refused[before:])...)
		}
	}
	s.load.open(nil, nil) // a large batch must not outlive its entry
	slices.Sort(sealed)   // sections may share queues
	sealed = slices.Compact(sealed)
	p.advance(c.Seq, refused, sealed)
	if s.level >= trialLevel {
		s.trial.published()
	}
	s.sessions[c.Session.Incarnation] = p
	return Answer{Status: Applied, Seq: p.seq, Refused: slices.Clone(refused), Sealed: slices.Clone(sealed)}
}

func (s *State) configure(c Configure) Answer {
	if c.Queue == 0 {
		return Answer{Status: NoQueue}
	}
	q := s.queues[c.Queue]
	if q == nil {
		q = newQueue(c.Queue)
		s.queues[c.Queue] = q
		s.touch(q)
	} else {
		s.frozen.keep(q)
	}
	if q.settings != c.Settings {
		q.settings = c.Settings
		s.touch(q)
	}
	return Answer{Status: Applied}
}

// reason is what a message dies of that is settled like this; 0 for an acknowledged one.
func (k SettleKind) reason() Reason {
	switch k {
	case Reject:
		return Rejected
	case Expire:
		return Expired
	case Drop:
		return MaxLen
	default:
		return 0
	}
}

func (s *State) settle(m moment, q *Queue, c Settle) uint64 {
	var total removed
	why := c.Kind.reason()
	died := q.died
	for _, r := range c.Ranges {
		if why == 0 {
			q.list.settle(r, &total)
		} else {
			q.kill(m, r, why, &total)
		}
	}
	if total.messages > 0 {
		if c.Bytes == UnknownBytes {
			q.spend(total.bytes)
		} else {
			q.spend(c.Bytes)
		}
	}
	if q.died > died {
		s.touch(q)
	}
	return total.messages
}

func (s *State) requeue(m moment, q *Queue, c Requeue) (n uint64) {
	var total removed
	for _, r := range c.Ranges {
		n += q.requeue(r, c.Failed)
		for _, over := range q.overLimit(r) {
			q.kill(m, over, DeliveryLimited, &total)
		}
	}
	if n > 0 {
		s.touch(q)
	}
	if total.messages > 0 {
		q.spend(total.bytes)
	}
	return n - total.messages
}

// seal counts what is not held, and seals unless that had to be nothing.
func (s *State) seal(q *Queue, c Seal) (n uint64) {
	for r := range between(c.Held, q.next-1) {
		n += q.live(r)
	}
	if !q.sealed && (!c.IfEmpty || n == 0) {
		q.sealed = true
		s.touch(q)
	}
	return n
}

func (s *State) unseal(q *Queue) uint64 {
	if q.sealed {
		q.sealed = false
		s.touch(q)
	}
	return q.messages
}

func (s *State) forget(q *Queue) uint64 {
	s.touch(q)
	delete(s.queues, q.id)
	return q.messages
}

func (s *State) purge(q *Queue, c Purge) uint64 {
	var total removed
	for r := range between(c.Keep, min(c.Through, q.next-1)) {
		q.list.settle(r, &total)
	}
	if total.messages > 0 {
		q.spend(total.bytes)
		s.touch(q)
	}
	return total.messages
}

// between gives what lies up to through and in none of rs, which are in any order.
func between(rs []Range, through uint64) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		from := uint64(0)
		for _, r := range slices.SortedFunc(slices.Values(rs), byFirst) {
			if r.First > r.Last {
				continue
			}
			if r.First > through {
				break
			}
			if r.First > from && !yield(Range{from, r.First - 1}) {
				return
			}
			if r.Last >= through { // nothing is left, and from must not wrap
				return
			}
			from = max(from, r.Last+1)
		}
		yield(Range{from, through})
	}
}

func byFirst(a, b Range) int { return cmp.Compare(a.First, b.First) }

// LastSeq is the session's last applied batch, 0 when there is none.
func (s *State) LastSeq(session Session) uint64 {
	if p := s.sessions[session.Incarnation]; p.epoch == session.Epoch {
		return p.seq
	}
	return 0
}

// Queue returns a queue of this group, nil when it is not here.
func (s *State) Queue(id ID) *Queue { return s.queues[id] }

// Queues lists the group's queues, ascending.
func (s *State) Queues() iter.Seq[ID] { return slices.Values(s.ids()) }

func (s *State) ids() []ID { return slices.Sorted(maps.Keys(s.queues)) }

// OldestLive is the lowest entry index that still holds an unsettled message or a pending dead
// letter, in O(queues and runs of dead letters): a queue's other runs are in the order of the log.
func (s *State) OldestLive() (index uint64, ok bool) {
	for _, q := range s.queues {
		if o, live := q.oldest(); live && (!ok || o < index) {
			index, ok = o, true
		}
	}
	return index, ok
}
