package leader

import (
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	// lettersAhead and letterBytesAhead bound the dead letters of a queue that are
	// on their way at once.
	lettersAhead     = 256
	letterBytesAhead = 1 << 20
	// The first and the longest pause before one that failed is tried again.
	firstLetterPause = 100 * time.Millisecond
	lastLetterPause  = 5 * time.Second
	// lettersWarning is how often a queue whose dead letters fail is complained about.
	lettersWarning = time.Minute
	// partingTime is how long a deleted queue waits for its dead letters.
	partingTime = 30 * time.Second
)

// letters are a queue's dead letters on their way. What is pending is in the log:
// a new leader sends again what this one did not see arrive.
type letters struct {
	pending uint64 // in the state
	after   uint64 // the highest number that was sent
	flying  int    // sent, and not answered
	bytes   int    // of those
	failing []*letter
	warned  time.Time // that they fail
}

// letter is one that is tried again.
type letter struct {
	queue.DeadLetter
	tries int
	due   time.Time
}

// sendLetters sends what there is room for.
func (e *Engine) sendLetters(q *served) {
	l := &q.letters
	if e.bury == nil || l.pending == 0 {
		return
	}
	e.sendAgain(q)
	for l.room() {
		var list []queue.DeadLetter
		e.cfg.Log.Locked(func(st *queue.State) {
			if sq := st.Queue(q.id); sq != nil {
				list = sq.DeadLetters(l.after, min(64, lettersAhead-l.flying-len(l.failing)))
			}
		})
		if len(list) == 0 {
			return
		}
		for i := range list {
			if !l.room() {
				return
			}
			l.after = list[i].Number
			if !e.sendLetter(q, &letter{DeadLetter: list[i]}) {
				return
			}
		}
	}
}

func (l *letters) room() bool {
	return l.flying+len(l.failing) < lettersAhead && l.bytes < letterBytesAhead
}

// sendAgain sends those that failed and have waited.
func (e *Engine) sendAgain(q *served) {
	l := &q.letters
	now := time.Now()
	waiting := l.failing[:0]
	var due []*letter
	for _, m := range l.failing {
		if m.due.After(now) {
			waiting = append(waiting, m)
			e.lookBy(q, m.due)
			continue
		}
		due = append(due, m)
	}
	clear(l.failing[len(waiting):])
	l.failing = waiting
	for _, m := range due {
		e.sendLetter(q, m)
	}
}

// sendLetter sends one; false when it cannot be read.
func (e *Engine) sendLetter(q *served, m *letter) bool {
	message, err := e.cfg.Log.Message(m.Ref)
	if err != nil {
		e.logger.Error("cannot read a dead letter from the log", "queue", q.id, "number", m.Number, "error", err)
		e.fail(err)
		return false
	}
	size := len(message.Body) + len(message.Properties)
	q.letters.flying++
	q.letters.bytes += size
	e.bury(q.settings, Dead{Reason: m.Reason, Died: m.Died, Message: message}, func(err error) {
		e.inbox.post(func() { e.arrivedLetter(q, m, size, err) })
	})
	return true
}

// arrivedLetter hears what became of one.
func (e *Engine) arrivedLetter(q *served, m *letter, size int, err error) {
	if e.queues[q.id] != q {
		return
	}
	l := &q.letters
	l.flying--
	l.bytes -= size
	e.look(q)
	if err == nil {
		e.control.settle(q.id, lettered, m.Number, 0)
		return
	}
	pause := min(firstLetterPause<<min(m.tries, 10), lastLetterPause)
	m.tries++
	if now := time.Now(); now.Sub(l.warned) > lettersWarning {
		l.warned = now
		e.logger.Warn("dead letters cannot be passed on yet", "vhost", q.settings.VHost, "queue", q.settings.Name, "pending", l.pending, "error", err)
	}
	m.due = time.Now().Add(pause)
	l.failing = append(l.failing, m)
	e.lookBy(q, m.due)
}

// part forgets a deleted queue once its dead letters are safe, or at last.
func (e *Engine) part(q *served) {
	q.stalled = false
	e.sendLetters(q)
	late := !time.Now().Before(q.parting)
	if !late && (q.letters.pending > 0 || q.leaving > 0) {
		e.lookBy(q, q.parting)
		return
	}
	if late {
		e.logger.Warn("a deleted queue goes with dead letters that could not be passed on", "vhost", q.settings.VHost, "queue", q.settings.Name, "letters", q.letters.pending)
	}
	q.parting = time.Now().Add(partingTime) // asked for once in a while
	e.control.ask(queue.Forget{Queue: q.id}, nil)
}
