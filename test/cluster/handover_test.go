package cluster

import (
	"context"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A node that stops in good order tells the next leader how far deliveries came: only
// what a client may have seen comes with the redelivered flag.
func TestAPlannedStopFlagsOnlyWhatWasDelivered(t *testing.T) {
	const messages, seen = 500, 100
	ctx := within(t, time.Minute)
	w, err := Run(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ch := openChannel(t, w.Nodes[0])
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	leader, err := w.QueueLeader(ctx, "q")
	if err != nil {
		t.Fatal(err)
	}
	other := w.Nodes[slices.IndexFunc(w.Nodes, func(n *Node) bool { return n != leader })]
	ch = openChannel(t, other)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for range messages {
		confirm, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{Body: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := confirm.WaitContext(ctx); !ok || err != nil {
			t.Fatalf("not confirmed: %v", err)
		}
	}
	if n := consume(ctx, t, ch, seen); n != 0 {
		t.Errorf("%d of the first %d are flagged", n, seen)
	}
	if err := leader.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if n := consume(ctx, t, openChannel(t, other), messages-seen); n > 1 { // one was on its way
		t.Errorf("%d of the %d that nobody has seen are flagged", n, messages-seen)
	}
}

// consume takes so many messages, one at a time, and counts those with the redelivered flag.
func consume(ctx context.Context, t *testing.T, ch *amqp.Channel, messages int) (flagged int) {
	t.Helper()
	if err := ch.Qos(1, 0, false); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.Consume("q", "c", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range messages {
		select {
		case d := <-deliveries:
			if d.Redelivered {
				flagged++
			}
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatal("a message does not come")
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	return flagged
}

func openChannel(t *testing.T, n *Node) *amqp.Channel {
	t.Helper()
	c, err := amqp.Dial("amqp://guest:guest@" + n.AMQP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}
