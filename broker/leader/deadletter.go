package leader

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	// lettersAhead and letterBytesAhead bound the dead letters of a queue that are
	// on their way at once.
	lettersAhead     = 256
	letterBytesAhead = 1 << 20
	// lettersParked bounds those of a queue whose targets are known to be full, and which
	// others overtake; eight bytes each.
	lettersParked = 1 << 16
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
	full    map[queue.ID]*lineup // by the target that takes no more
	parked  int                  // in all lines
	warned  time.Time            // that they fail
}

// Full is the error of a dead letter that has one target, which does not take it.
type Full struct {
	Target queue.ID
	Err    error
}

func (f *Full) Error() string { return fmt.Sprintf("queue %d: %v", f.Target, f.Err) }

// Unwrap is what the target said.
func (f *Full) Unwrap() error { return f.Err }

// lineup are the dead letters that wait for one full target, in their order. The first
// is tried now and then; once it is taken the others follow, ever more at once.
type lineup struct {
	numbers []uint64 // ascending
	flying  int
	allowed int // to fly
	tries   int // of the first, in vain
	due     time.Time
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
	e.sendParked(q)
	for l.room() && l.parked < lettersParked {
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
			if !e.sendLetter(q, &letter{DeadLetter: list[i]}, 0) {
				return
			}
		}
	}
}

// sendParked tries those again whose target was full.
func (e *Engine) sendParked(q *served) {
	l := &q.letters
	now := time.Now()
	for target, line := range l.full {
		if line.due.After(now) {
			e.lookBy(q, line.due)
			continue
		}
		for line.flying < line.allowed && len(line.numbers) > 0 && l.room() {
			number := line.numbers[0]
			line.numbers = line.numbers[1:]
			l.parked--
			var list []queue.DeadLetter
			e.cfg.Log.Locked(func(st *queue.State) {
				if sq := st.Queue(q.id); sq != nil {
					list = sq.DeadLetters(number-1, 1)
				}
			})
			if len(list) == 0 || list[0].Number != number {
				continue
			}
			line.flying++
			if !e.sendLetter(q, &letter{DeadLetter: list[0]}, target) {
				return
			}
		}
		if len(line.numbers) == 0 && line.flying == 0 {
			delete(l.full, target)
		}
	}
}

// park puts a letter into the line of its target. Of those that were refused together, one
// moves the next try.
func (e *Engine) park(q *served, number uint64, target queue.ID) {
	l := &q.letters
	line := l.full[target]
	if line == nil {
		line = &lineup{}
		if l.full == nil {
			l.full = make(map[queue.ID]*lineup)
		}
		l.full[target] = line
	}
	at, _ := slices.BinarySearch(line.numbers, number)
	line.numbers = slices.Insert(line.numbers, at, number)
	l.parked++
	if now := time.Now(); line.allowed == 0 || !line.due.After(now) && at == 0 {
		line.allowed = 1
		line.due = now.Add(letterPause(line.tries))
		line.tries++
	}
	e.lookBy(q, line.due)
}

func letterPause(tries int) time.Duration {
	return min(firstLetterPause<<min(tries, 10), lastLetterPause)
}

// avoid lists the targets that are known to be full, but for one whose turn it is.
func (l *letters) avoid(turn queue.ID) (list []queue.ID) {
	for target := range l.full {
		if target != turn {
			list = append(list, target)
		}
	}
	return list
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
		e.sendLetter(q, m, 0)
	}
}

// sendLetter sends one, out of the line of a target unless that is 0; false when it cannot be read.
func (e *Engine) sendLetter(q *served, m *letter, line queue.ID) bool {
	message, err := e.cfg.Log.Message(m.Ref)
	if err != nil {
		e.logger.Error("cannot read a dead letter from the log", "queue", q.id, "number", m.Number, "error", err)
		e.fail(err)
		return false
	}
	size := len(message.Body) + len(message.Properties)
	q.letters.flying++
	q.letters.bytes += size
	e.bury(q.settings, Dead{Reason: m.Reason, Died: m.Died, Message: message, Avoid: q.letters.avoid(line)}, func(err error) {
		e.inbox.post(func() { e.arrivedLetter(q, m, size, line, err) })
	})
	return true
}

// arrivedLetter hears what became of one.
func (e *Engine) arrivedLetter(q *served, m *letter, size int, from queue.ID, err error) {
	if e.queues[q.id] != q {
		return
	}
	l := &q.letters
	l.flying--
	l.bytes -= size
	e.look(q)
	line := l.full[from]
	if line != nil {
		line.flying--
	}
	if err == nil {
		if line != nil {
			line.allowed, line.tries = min(line.allowed+1, lettersAhead), 0
		}
		e.control.settle(q.id, lettered, m.Number, 0)
		return
	}
	if now := time.Now(); now.Sub(l.warned) > lettersWarning {
		l.warned = now
		e.logger.Warn("dead letters cannot be passed on yet", "vhost", q.settings.VHost, "queue", q.settings.Name, "pending", l.pending, "error", err)
	}
	if full, ok := errors.AsType[*Full](err); ok {
		e.park(q, m.Number, full.Target)
		return
	}
	m.due = time.Now().Add(letterPause(m.tries))
	m.tries++
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
