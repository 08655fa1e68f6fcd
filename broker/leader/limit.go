package leader

import "github.com/warrenmq/warren/broker/queue"

// dropAtOnce bounds the messages that are dropped while the state is locked.
const dropAtOnce = 4096

// enforce keeps a queue that drops what it has no room for within its limits: of
// the messages that are ready, those that would be delivered next go. While
// somebody waits who may not have them yet, they are his.
func (e *Engine) enforce(q *served) {
	if !q.limited() || q.settings.Overflow != queue.DropHead || q.stalled {
		return
	}
	e.admit(q)
	atOnce := dropAtOnce
	if q.settings.MaxLengthBytes.Set {
		atOnce = 1 // what is left to drop depends on how long its body is
	}
	for {
		var drop []queue.Item
		e.cfg.Log.Locked(func(st *queue.State) {
			sq := st.Queue(q.id)
			for sq != nil && len(drop) < atOnce && q.overflows(sq, uint64(len(drop))) {
				it, ok := q.item(sq)
				if !ok {
					return
				}
				q.take(it)
				drop = append(drop, it)
			}
		})
		for i := range drop {
			e.kill(q, dropped, drop[i])
		}
		if len(drop) < atOnce {
			return
		}
	}
}

func (q *served) limited() bool { return q.settings.MaxLength.Set || q.settings.MaxLengthBytes.Set }

// overflows tells whether a queue is over its limits with so many messages fewer. The caller holds the state's lock.
func (q *served) overflows(sq *queue.Queue, fewer uint64) bool {
	s := &q.settings
	ready := less(q.ready(sq), fewer)
	return ready > 0 && (s.MaxLength.Set && ready > uint64(max(s.MaxLength.N, 0)) ||
		s.MaxLengthBytes.Set && q.readyBytes(sq) > uint64(max(s.MaxLengthBytes.N, 0)))
}

// told is what the log knows of what consumers hold, in a queue that refuses what
// it has no room for: there the state machine decides, and counts what is ready.
type told struct {
	known           bool
	messages, bytes uint64
}

// tells tells whether the log must know what is out of q.
func (q *served) tells() bool { return q.limited() && q.settings.Overflow != queue.DropHead }

// tellHeld adds to the control batch what has changed of what is out. It goes last,
// so the batch's settlements are not in it; and what it is about is sent no sooner
// than it is committed, so that nobody who has a message can publish ahead of it.
func (e *Engine) tellHeld() {
	if !e.serving {
		return
	}
	for id := range e.control.telling {
		q := e.queues[id]
		if q == nil || !q.tells() {
			continue
		}
		now := told{true, uint64(len(q.out)), q.outBytes}
		if now != q.told {
			q.told = now
			e.control.ask(queue.Held{Queue: id, Messages: now.messages, Bytes: now.bytes}, nil)
		}
	}
	clear(e.control.telling)
}

// tell sees that the log hears of what is out of q.
func (e *Engine) tell(q *served) {
	if !q.tells() {
		return
	}
	if e.control.telling == nil {
		e.control.telling = make(map[queue.ID]struct{})
	}
	e.control.telling[q.id] = struct{}{}
}

// weigh finds out how long the bodies are of what is out, where that was not needed so far.
func (e *Engine) weigh(q *served) {
	refs := make(map[uint64]queue.Ref)
	e.cfg.Log.Locked(func(st *queue.State) {
		for seq, h := range q.out {
			if sq := st.Queue(q.id); sq != nil && h.bytes == unknownBytes {
				if it, ok := sq.Lookup(seq); ok {
					refs[seq] = it.Ref
				}
			}
		}
	})
	for seq, ref := range refs {
		h := q.out[seq]
		h.bytes = e.size(ref)
		q.out[seq] = h
		q.outBytes += uint64(h.bytes)
	}
}
