package edge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/broker/queue"
)

// Receipt says who hears what became of a message.
type Receipt struct {
	Confirms Confirms // nil: nobody
	Tag      uint64
}

// Confirms hears of messages by their tags: committed and applied everywhere
// (err nil), or never to be (err). It must not block; tags is borrowed.
type Confirms interface {
	Confirmed(tags []uint64, err error)
}

var (
	// ErrRefused: a queue refused the message, by its limit, or because it was being
	// deleted and stays.
	ErrRefused = errors.New("refused by the queue")
	// ErrLost: a transient queue's node is gone, with the message.
	ErrLost = errors.New("the queue's node is gone")
)

// Publish copies m into the batch of each group of to. r hears once, when the
// message is committed and applied in all of them. It blocks while too much is
// unanswered, until ctx ends.
func (e *Edge) Publish(ctx context.Context, to []queue.ID, m *queue.Message, r Receipt) error {
	if len(to) == 1 {
		t, ok := e.target(to[0])
		if !ok {
			return r.settled(nil) // deleted since it was routed: as RabbitMQ, confirmed
		}
		return e.publish(ctx, t, to, m, r)
	}
	parts := make(map[Target][]queue.ID, 2)
	for _, id := range to {
		if t, ok := e.target(id); ok {
			parts[t] = append(parts[t], id)
		}
	}
	if len(parts) == 0 {
		return r.settled(nil)
	}
	if len(parts) > 1 && r.Confirms != nil {
		all := &gather{receipt: r}
		all.left.Store(int32(len(parts)))
		r = Receipt{Confirms: all}
	}
	var err error
	for t, ids := range parts {
		if perr := e.publish(ctx, t, ids, m, r); perr != nil {
			err = errors.Join(err, perr)
		}
	}
	return err
}

func (e *Edge) publish(ctx context.Context, t Target, to []queue.ID, m *queue.Message, r Receipt) error {
	t.Moves = m.Moves && t.Group == 0 // by themselves: what else is published there may wait for the room that they leave
	s, err := e.session(t)
	if err != nil {
		return err
	}
	return s.add(ctx, to, m, r)
}

// settled answers a receipt at once.
func (r Receipt) settled(err error) error {
	if r.Confirms != nil {
		r.Confirms.Confirmed([]uint64{r.Tag}, err)
	}
	return nil
}

// gather waits for all groups that a message went to.
type gather struct {
	receipt Receipt
	left    atomic.Int32
	mu      sync.Mutex
	err     error
}

func (g *gather) Confirmed(tags []uint64, err error) {
	if err != nil {
		g.mu.Lock()
		g.err = err
		g.mu.Unlock()
	}
	if g.left.Add(int32(-len(tags))) == 0 {
		g.mu.Lock()
		err = g.err
		g.mu.Unlock()
		g.receipt.Confirms.Confirmed([]uint64{g.receipt.Tag}, err)
	}
}

// complete tells the receipts of a batch what became of it. refused are
// arrival numbers, ascending. Runs of one channel's tags are told together.
func complete(receipts []Receipt, refused []int, err error) {
	var tags [256]uint64
	n := 0
	var to Confirms
	flush := func() {
		if n > 0 {
			to.Confirmed(tags[:n], err)
			n = 0
		}
	}
	for i, r := range receipts {
		if r.Confirms == nil {
			if len(refused) > 0 && refused[0] == i {
				refused = refused[1:]
			}
			continue
		}
		if len(refused) > 0 && refused[0] == i {
			refused = refused[1:]
			flush()
			r.Confirms.Confirmed([]uint64{r.Tag}, ErrRefused)
			continue
		}
		if r.Confirms != to || n == len(tags) {
			flush()
			to = r.Confirms
		}
		tags[n] = r.Tag
		n++
	}
	flush()
}
