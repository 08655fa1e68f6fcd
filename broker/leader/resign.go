package leader

import (
	"context"

	"github.com/warrenmq/warren/broker/queue"
)

// Resign is called before the leadership is handed over in good order. Nothing more is
// delivered, and the log learns how far deliveries came: else the next leader would have
// to take all that is reserved for delivered, and flag messages that nobody has seen.
// It returns when that is committed.
func (e *Engine) Resign(ctx context.Context) error {
	return e.call(ctx, func(done func(reply)) {
		e.resigns = true
		open := 1
		one := func() {
			if open--; open == 0 {
				done(reply{})
			}
		}
		for id, q := range e.queues {
			if e.cfg.Term == 0 || q.mark == q.handed && !q.marking {
				continue
			}
			open++
			to := q.handed
			e.control.ask(queue.Mark{Queue: id, Seq: to, Term: e.cfg.Term}, func(queue.Answer) {
				q.mark = min(q.mark, to) // should it lead on, it has to reserve anew
				one()
			})
		}
		one()
	}).err
}

// Stay undoes Resign: nobody has taken over.
func (e *Engine) Stay() {
	e.inbox.post(func() {
		e.resigns = false
		for _, q := range e.queues {
			e.look(q)
		}
	})
}
