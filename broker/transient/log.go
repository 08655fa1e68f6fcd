// Package transient keeps queues in the memory of one node: those that are not
// durable, and exclusive ones. It is the same state machine and the same engine
// as for replicated queues, over a log that is a map of batches.
//
// It promises no more than RabbitMQ for such queues: they end with their node.
// Memory is that of the live messages, at most twice: what is settled is
// reclaimed whatever stays unsettled in between. It is bounded: at the limit
// publishes wait, and with them the publishers, until consumers have made room.
// Messages that have died count until they have arrived where they belong. Those on
// their way from one node's memory to another's do not wait: they leave as much room
// as they take, and would else wait for themselves.
package transient

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// sweepBytes is how much must have been appended or settled since the last
// sweep before the next is worth while.
const sweepBytes = 4 << 20

// Log is a group's log in memory. It implements leader.Log.
type Log struct {
	onApply func(touched []queue.ID)
	limit   uint64 // bytes kept, beyond which publishes wait

	mu      sync.Mutex
	state   *queue.State
	batches map[uint64][]byte // by entry index
	single  map[queue.Ref]queue.Message
	index   uint64
	kept    uint64 // bytes of batches and single messages
	moved   uint64 // bytes appended and bytes settled since the last sweep, as far as known
	live    uint64 // messages in queues at the last sweep, and appended since
	settled uint64 // messages since the last sweep

	proposing sync.Mutex // keeps answers in the order of the proposals; guards waiting
	waiting   []proposal // publishes that find no room, in order: each edge has few under way
}

// proposal is a batch that waits for room.
type proposal struct {
	batch    []byte
	commands []queue.Command
	done     func([]queue.Answer, error)
}

// NewLog makes an empty log that keeps about limit bytes. onApply hears which
// queues an entry touched.
func NewLog(limit uint64, onApply func(touched []queue.ID)) *Log {
	return &Log{
		onApply: onApply,
		limit:   limit,
		state:   queue.NewState(),
		batches: make(map[uint64][]byte),
		single:  make(map[queue.Ref]queue.Message),
	}
}

// Propose applies batch at once, and calls done before it returns. A publish
// that finds no room waits; what it waits for are settlements.
func (l *Log) Propose(batch []byte, done func([]queue.Answer, error)) {
	commands, err := queue.Decode(batch)
	if err != nil {
		done(nil, fmt.Errorf("transient queues: %w", err))
		return
	}
	l.proposing.Lock()
	defer l.proposing.Unlock()
	p := proposal{batch, commands, done}
	if p.publishes() && !p.moves() && (len(l.waiting) > 0 || l.full()) {
		l.waiting = append(l.waiting, p)
		return
	}
	l.run(p)
	for len(l.waiting) > 0 && !l.full() {
		next := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.run(next)
	}
}

// run applies a proposal. The caller holds proposing.
func (l *Log) run(p proposal) {
	answers, touched := l.apply(p.batch, p.commands)
	l.onApply(touched)
	p.done(answers, nil)
}

func (l *Log) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept < l.limit {
		return false
	}
	if l.settled > l.live/8 { // less is not worth a look at all of it
		l.sweep()
	}
	return l.kept >= l.limit
}

func (p *proposal) publishes() bool {
	if len(p.commands) == 0 {
		return false
	}
	_, ok := p.commands[0].(queue.Publish)
	return ok
}

// moves tells whether all that is published only moves from one node's memory to another's.
func (p *proposal) moves() bool {
	c, ok := p.commands[0].(queue.Publish)
	return ok && !slices.ContainsFunc(c.Sections, func(s queue.Section) bool { return !s.Moves })
}

func (l *Log) apply(batch []byte, commands []queue.Command) ([]queue.Answer, []queue.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	returned := l.returned(commands)
	answers, touched := l.state.Apply(queue.Entry{Index: l.index, AppendedAt: time.Now(), Commands: commands})
	if stored(commands, answers) {
		l.batches[l.index] = batch
		l.kept += uint64(len(batch))
		l.moved += uint64(len(batch))
	}
	for i, c := range commands {
		l.count(c, answers[i])
	}
	l.settled += returned - min(l.returned(commands), returned) // no answer tells what died of its returns
	if l.kept >= sweepBytes && (l.moved >= sweepBytes && l.moved >= l.kept/2 || l.settled > l.live/2) {
		l.sweep()
	}
	return append([]queue.Answer(nil), answers...), append([]queue.ID(nil), touched...)
}

// returned is how many messages there are in the queues that commands return messages to.
func (l *Log) returned(commands []queue.Command) (n uint64) {
	for _, c := range commands {
		if c, ok := c.(queue.Requeue); ok {
			if q := l.state.Queue(c.Queue); q != nil {
				n += q.Messages()
			}
		}
	}
	return n
}

// count notes how much of what is kept a command may have left to be swept.
func (l *Log) count(c queue.Command, a queue.Answer) {
	switch c := c.(type) {
	case queue.Publish:
		if a.Status != queue.Applied {
			return
		}
		for i := range c.Sections {
			l.live += uint64(c.Sections[i].Count) * uint64(len(c.Sections[i].Queues))
			for _, id := range c.Sections[i].Queues {
				if slices.Contains(a.Sealed, id) {
					l.settled += uint64(c.Sections[i].Count)
				}
			}
		}
		l.settled += uint64(len(a.Refused))
	case queue.Settle:
		l.settled += a.Count
		if c.Bytes != queue.UnknownBytes {
			l.moved += c.Bytes
		}
	case queue.Purge, queue.Forget, queue.DeadLettered:
		l.settled += a.Count
	}
}

// stored says whether a batch put messages into queues.
func stored(commands []queue.Command, answers []queue.Answer) bool {
	if len(commands) == 0 {
		return false
	}
	_, publish := commands[0].(queue.Publish)
	return publish && answers[0].Status == queue.Applied
}

// Message reads a message from memory.
func (l *Log) Message(ref queue.Ref) (queue.Message, error) {
	l.mu.Lock()
	batch := l.batches[ref.Index]
	m, ok := l.single[ref]
	l.mu.Unlock()
	switch {
	case ok:
		return m, nil
	case batch == nil:
		return queue.Message{}, fmt.Errorf("transient queues: no entry %d", ref.Index)
	}
	return queue.ReadMessage(batch, ref.Ordinal)
}

// Locked runs f while nothing is applied.
func (l *Log) Locked(f func(*queue.State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.state)
}

// Leased is true: nobody else can have these queues.
func (l *Log) Leased() bool { return true }

// letterPage is how many dead letters a sweep lists at once.
const letterPage = 1024

// use is what the state needs of the batches: for each entry the messages.
type use struct {
	refs map[uint64][]queue.Ref
	seen map[queue.Ref]struct{}
}

func (u *use) note(ref queue.Ref) {
	if _, twice := u.seen[ref]; !twice { // a message may be in several queues
		u.refs[ref.Index] = append(u.refs[ref.Index], ref)
		u.seen[ref] = struct{}{}
	}
}

func (u *use) noteQueue(q *queue.Queue) {
	for it, ok := q.After(0); ok; it, ok = q.After(it.Seq) {
		u.note(it.Ref)
	}
	for page := q.DeadLetters(0, letterPage); len(page) > 0; page = q.DeadLetters(page[len(page)-1].Number, letterPage) {
		for i := range page {
			u.note(page[i].Ref)
		}
	}
}

// sweep drops the batches that hold no unsettled message and no dead letter. From
// those that hold few, it takes the messages out, so that a long-lived message
// does not keep its neighbours. The caller holds mu.
func (l *Log) sweep() {
	l.live, l.settled = 0, 0
	u := use{
		refs: make(map[uint64][]queue.Ref, len(l.batches)),
		seen: make(map[queue.Ref]struct{}),
	}
	for id := range l.state.Queues() {
		q := l.state.Queue(id)
		l.live += q.Messages() + q.PendingDeadLetters()
		u.noteQueue(q)
	}
	for ref := range l.single {
		if _, ok := u.seen[ref]; !ok {
			delete(l.single, ref)
		}
	}
	for index, batch := range l.batches {
		l.thin(index, batch, u.refs[index])
	}
	l.kept, l.moved = 0, 0
	for _, batch := range l.batches {
		l.kept += uint64(len(batch))
	}
	for _, m := range l.single {
		l.kept += uint64(len(m.Body) + len(m.Properties))
	}
}

// thin drops a batch of which less than half is live; what is live is kept by itself.
func (l *Log) thin(index uint64, batch []byte, refs []queue.Ref) {
	bytes := 0
	messages := make([]queue.Message, len(refs))
	for i, ref := range refs {
		m, err := queue.ReadMessage(batch, ref.Ordinal)
		if err != nil {
			panic(fmt.Sprintf("transient queues: entry %d was applied and cannot be read: %v", index, err))
		}
		messages[i] = m
		bytes += len(m.Body) + len(m.Properties)
	}
	if bytes*2 >= len(batch) {
		return
	}
	for i, ref := range refs {
		m := messages[i]
		m.Body = append([]byte(nil), m.Body...)
		m.Properties = append([]byte(nil), m.Properties...)
		l.single[ref] = m
	}
	delete(l.batches, index)
}
