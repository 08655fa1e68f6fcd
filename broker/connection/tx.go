package connection

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/wire"
)

// transaction gathers a channel's publishes and answers until tx.commit (I6, I7).
// As in RabbitMQ it is not atomic across queues or failures.
type transaction struct {
	publishes []txPublish
	answers   []txAnswer
	bytes     uint64 // that publishes keep
}

type txPublish struct {
	way       routing.Result
	message   queue.Message
	mandatory bool
}

type txAnswer struct {
	delivery outstanding
	answer   leader.Answer
}

// txMessageBytes is what a buffered publish or answer costs beside its contents.
const (
	txMessageBytes = 256
	txAnswerBytes  = 64
)

func (ch *channel) txMethod(ctx context.Context, m wire.Method) error {
	if _, ok := m.(*wire.TxSelect); ok {
		if ch.confirms {
			return fault(wire.PreconditionFailed, "cannot switch from confirm to tx mode")
		}
		if ch.tx == nil {
			ch.tx = &transaction{}
		}
		ch.send(&wire.TxSelectOk{})
		return nil
	}
	if ch.tx == nil {
		return fault(wire.PreconditionFailed, "channel is not transactional")
	}
	tx := ch.tx
	ch.tx = &transaction{}
	ch.c.assembling -= tx.size()
	if _, ok := m.(*wire.TxRollback); ok {
		ch.rollback(tx)
		ch.send(&wire.TxRollbackOk{})
		return nil
	}
	if err := ch.commit(ctx, tx); err != nil {
		return err
	}
	ch.send(&wire.TxCommitOk{})
	return nil
}

func (tx *transaction) size() uint64 {
	if tx == nil {
		return 0
	}
	return tx.bytes
}

// publish keeps a copy of m.
func (tx *transaction) publish(ch *channel, way *routing.Result, m *queue.Message, mandatory bool) error {
	size := txMessageBytes + uint64(len(m.Body)+len(m.Properties)+len(m.Exchange)+len(m.RoutingKey)+8*(len(way.Queues)+len(way.Delayed)))
	if err := ch.c.hold(size); err != nil {
		return err
	}
	tx.bytes += size
	kept := *m
	kept.Exchange, kept.RoutingKey = strings.Clone(m.Exchange), strings.Clone(m.RoutingKey)
	kept.Properties, kept.Body = bytes.Clone(m.Properties), bytes.Clone(m.Body)
	to := *way
	to.Queues, to.Delayed = slices.Clone(way.Queues), slices.Clone(way.Delayed)
	tx.publishes = append(tx.publishes, txPublish{to, kept, mandatory})
	return nil
}

// answer keeps answers; what they are about is not outstanding any more.
func (tx *transaction) answer(ch *channel, tag uint64, multiple bool, answer leader.Answer) error {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	count := len(tx.answers)
	if multiple {
		if !ch.unacked.takeThrough(tag, func(d outstanding) { tx.answers = append(tx.answers, txAnswer{d, answer}) }) {
			return unknownTag(tag)
		}
	} else {
		d, ok := ch.unacked.take(tag)
		if !ok {
			return unknownTag(tag)
		}
		tx.answers = append(tx.answers, txAnswer{d, answer})
	}
	size := uint64(len(tx.answers)-count) * txAnswerBytes
	tx.bytes += size
	ch.c.assembling += size // bounded by what was delivered
	return nil
}

// rollback forgets the publishes and takes the answers back.
func (ch *channel) rollback(tx *transaction) {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	deliveries := make([]outstanding, len(tx.answers))
	for i, a := range tx.answers {
		deliveries[i] = a.delivery
	}
	ch.unacked.restore(deliveries)
}

// commit publishes and waits until all is safe, then passes the answers on.
func (ch *channel) commit(ctx context.Context, tx *transaction) error {
	waiting := txConfirms{outcomes: make(chan error, len(tx.publishes))}
	for i := range tx.publishes {
		p := &tx.publishes[i]
		if err := ch.hand(ctx, &p.way, &p.message, p.mandatory, Receipt{Confirms: waiting, Tag: uint64(i) + 1}); err != nil {
			ch.rollback(tx)
			return err
		}
	}
	var failed error
	for range tx.publishes {
		select {
		case err := <-waiting.outcomes:
			if err != nil {
				failed = err
			}
		case <-ctx.Done():
			ch.rollback(tx)
			return ctx.Err()
		}
	}
	if failed != nil {
		ch.rollback(tx)
		return partial(failed)
	}
	ch.out.mu.Lock()
	for _, a := range tx.answers {
		ch.note(a.delivery, a.answer)
	}
	ch.out.mu.Unlock()
	ch.c.settle()
	return ch.awaitAnswers(ctx, tx)
}

// awaitAnswers waits until the answers of a transaction are applied: its effects
// show before commit-ok does.
func (ch *channel) awaitAnswers(ctx context.Context, tx *transaction) error {
	asked, cancel := ch.call(ctx)
	defer cancel()
	var last *holder
	for i := range tx.answers {
		h := tx.answers[i].delivery.from
		if h == last || h == &ch.nobody {
			continue
		}
		last = h
		if err := h.sub.Settled(asked); err != nil {
			return partial(err)
		}
	}
	return nil
}

func partial(cause error) error {
	return &wire.Error{Code: wire.PreconditionFailed, Text: "partial tx completion", Cause: fmt.Errorf("commit: %w", cause)}
}

// txConfirms waits for the publishes of a transaction.
type txConfirms struct{ outcomes chan error }

func (t txConfirms) Confirmed(tags []uint64, err error) {
	for range tags {
		t.outcomes <- err
	}
}
