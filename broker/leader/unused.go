package leader

import "time"

// expiredAgain is how long after Config.Expired an unused queue that is still
// there is told of again: its deletion may have failed.
const expiredAgain = 5 * time.Second

// lookUnused tells of a queue that nobody has used for as long as it may live so.
func (e *Engine) lookUnused(q *served) {
	if !q.settings.Expires.Set || q.consumers() > 0 {
		return
	}
	lives := milliseconds(q.settings.Expires)
	now := time.Now()
	if !now.Before(q.used.Add(lives)) {
		e.cfg.Expired(q.id)
		q.used = now.Add(expiredAgain - lives)
	}
	e.lookBy(q, q.used.Add(lives))
}
