package connection_test

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func dial(t *testing.T, address string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial("amqp://guest:guest@" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// amqp091-go publishes with confirms through a topic exchange and consumes with
// acknowledgements and prefetch.
func TestClientAMQP091(t *testing.T) {
	_, address := start(t)
	ch := dial(t, address)
	if err := ch.ExchangeDeclare("events", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(q.Name, "order.*", "events", false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	if err := ch.Qos(10, 0, false); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.Consume(q.Name, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	const messages = 1000
	var confirms []*amqp.DeferredConfirmation
	for i := range messages {
		confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "events", "order.new", true, false,
			amqp.Publishing{Body: fmt.Append(nil, i), Headers: amqp.Table{"n": int32(i)}, DeliveryMode: amqp.Persistent})
		if err != nil {
			t.Fatal(err)
		}
		confirms = append(confirms, confirm)
	}
	for i := range messages {
		select {
		case d := <-deliveries:
			if string(d.Body) != fmt.Sprint(i) || d.Headers["n"] != int32(i) || d.Redelivered {
				t.Fatalf("delivery %d is %q %v", i, d.Body, d.Headers)
			}
			if err := d.Ack(i%3 == 0); err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no delivery %d", i)
		}
	}
	for i, confirm := range confirms {
		if !confirm.Wait() {
			t.Fatalf("publish %d is not confirmed", i)
		}
	}
}
