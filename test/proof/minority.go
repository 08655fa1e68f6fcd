package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	silence       = 8 * time.Second // how long nothing may be confirmed
	refusalLimit  = 5 * time.Second // of a metadata write without a majority
	recoveryLimit = 15 * time.Second
)

// minority leaves one node of three: it must confirm nothing, refuse metadata
// writes clearly, keep its consumers, and go on by itself when the others are back.
func minority(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		last := w.Nodes[0]
		m := &minorityRun{run: r, w: w, last: last, ledger: traffic.NewLedger(), queues: []string{"led-here", "led-elsewhere"}}
		for i, q := range m.queues {
			if err := declare(ctx, w.Nodes[i], q); err != nil {
				return err
			}
		}
		var parts []func(context.Context) error
		for _, q := range m.queues {
			parts = append(parts,
				traffic.NewPublisher(traffic.Publisher{Ledger: m.ledger, Addrs: []string{last.AMQP}, Queue: q, Rate: 100, Window: 500, Size: 128}).Run,
				traffic.NewConsumer(traffic.Consumer{Ledger: m.ledger, Addrs: []string{last.AMQP}, Queue: q, Prefetch: 10}).Run)
		}
		b := inBackground(ctx, parts...)
		defer b.stop()
		if err := m.alone(ctx); err != nil {
			return errors.Join(err, m.ledger.Broken())
		}
		return m.together(ctx)
	})
}

type minorityRun struct {
	*run
	w      *cluster.Warren
	last   *cluster.Node
	ledger *traffic.Ledger
	queues []string
}

// alone is the time with one node.
func (m *minorityRun) alone(ctx context.Context) error {
	if err := m.ledger.MoreConfirmed(ctx, 200); err != nil {
		return err
	}
	idle, err := traffic.Dial(ctx, m.last.AMQP) // a connection with nothing to do
	if err != nil {
		return err
	}
	defer idle.Drop()
	closed := idle.NotifyClose(make(chan *amqp.Error, 1))
	for _, n := range m.w.Nodes[1:] {
		if err := n.Kill(); err != nil {
			return err
		}
	}
	begin := time.Now()
	m.ledger.DrawLine()
	before := m.ledger.Count()
	if err := m.metadataIsRefused(ctx); err != nil {
		return err
	}
	err = limited(ctx, silence-time.Since(begin), func(ctx context.Context) error {
		if m.ledger.Await(ctx, "a confirm", func(c traffic.Count) bool { return c.Beyond > 0 }) == nil {
			return errors.New("a publish was confirmed without a majority")
		}
		return nil
	})
	if err != nil {
		return err
	}
	after := m.ledger.Count()
	m.printf("alone for %.1f s: sent %d, confirmed %d, refused %d", time.Since(begin).Seconds(),
		after.Sent-before.Sent, after.Beyond, after.Refused-before.Refused)
	if after.Beyond > 0 {
		return fmt.Errorf("%d publishes were confirmed without a majority", after.Beyond)
	}
	select {
	case e := <-closed:
		return fmt.Errorf("a connection to the last node was closed: %w", e)
	default:
	}
	return sentAway(before, after)
}

// sentAway says whether a client of the last node lost its connection.
func sentAway(before, after traffic.Count) error {
	if after.Cancelled > before.Cancelled || after.Unknown > before.Unknown || after.Connected > before.Connected {
		return fmt.Errorf("clients of the last node were sent away: %d consumers cancelled, %d connected anew, %d publishes cut off",
			after.Cancelled-before.Cancelled, after.Connected-before.Connected, after.Unknown-before.Unknown)
	}
	return nil
}

// metadataIsRefused tries one write of each kind, each on its own connection,
// and one read.
func (m *minorityRun) metadataIsRefused(ctx context.Context) error {
	writes := []struct {
		name string
		do   func(*amqp.Channel) error
	}{
		{"queue.declare", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("minority", true, false, false, false, nil)
			return err
		}},
		{"queue.declare exclusive", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("", false, true, true, false, nil)
			return err
		}},
		{"exchange.declare", func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("minority", "fanout", true, false, false, false, nil)
		}},
		{"queue.bind", func(ch *amqp.Channel) error {
			return ch.QueueBind(m.queues[0], "k", "amq.direct", false, nil)
		}},
		{"queue.delete", func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete(m.queues[1], false, false, false)
			return err
		}},
	}
	failed := make([]error, len(writes))
	told := make([]string, len(writes))
	var all []func(context.Context) error
	for i, wr := range writes {
		all = append(all, func(ctx context.Context) error {
			told[i], failed[i] = m.refused(ctx, wr.name, wr.do)
			return nil
		})
	}
	b := inBackground(ctx, all...)
	b.all.Wait()
	b.cancel()
	for _, line := range told {
		if line != "" {
			m.printf("%s", line)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return onChannel(ctx, m.last.AMQP, func(ch *amqp.Channel) error {
		if err := ch.ExchangeDeclarePassive("amq.direct", "direct", true, false, false, false, nil); err != nil {
			return fmt.Errorf("a passive declare reads only, but: %w", err)
		}
		return nil
	})
}

// refused does one write and wants a clear AMQP error in time.
func (m *minorityRun) refused(ctx context.Context, name string, write func(*amqp.Channel) error) (told string, err error) {
	err = onChannel(ctx, m.last.AMQP, func(ch *amqp.Channel) error {
		begin := time.Now()
		err := write(ch)
		took := time.Since(begin)
		e, isAMQP := errors.AsType[*amqp.Error](err)
		switch {
		case err == nil:
			return fmt.Errorf("%s was answered with ok, without a majority", name)
		case !isAMQP || !e.Server || e.Reason == "":
			return fmt.Errorf("%s ended with %w, not with an AMQP error of the broker", name, err)
		case took > refusalLimit+500*time.Millisecond:
			return fmt.Errorf("%s was refused after %.1f s", name, took.Seconds())
		}
		told = fmt.Sprintf("%-24s refused after %.1f s: %d %s", name, took.Seconds(), e.Code, e.Reason)
		return nil
	})
	return told, err
}

// together brings the others back: all goes on, on the same connections.
func (m *minorityRun) together(ctx context.Context) error {
	before := m.ledger.Count()
	begin := time.Now()
	for _, n := range m.w.Nodes[1:] {
		if err := n.Start(); err != nil {
			return err
		}
	}
	err := limited(ctx, recoveryLimit, func(ctx context.Context) error {
		if err := m.ledger.MoreConfirmed(ctx, 1000+200); err != nil { // both windows were full
			return err
		}
		m.printf("the others back: %.1f s until all that had waited was confirmed", time.Since(begin).Seconds())
		if err := declare(ctx, m.last, "minority"); err != nil {
			return err
		}
		return m.ledger.AllDelivered(ctx)
	})
	if err != nil {
		return errors.Join(fmt.Errorf("after the others returned: %w", err), m.ledger.Broken())
	}
	c := m.ledger.Count()
	if err := sentAway(before, c); err != nil {
		return err
	}
	m.printf("sent %d, confirmed %d, delivered %d, missing %d, again with the flag %d", c.Sent, c.Confirmed, c.Delivered, c.Missing, c.Redelivered)
	return errors.Join(m.ledger.Settled(), limited(ctx, wholeLimit, m.w.AwaitWhole))
}
