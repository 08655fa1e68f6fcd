package connection_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

func fill(c *conntest.Client, channel uint16, queue string, from, to int) {
	for i := from; i < to; i++ {
		c.Publish(channel, &wire.BasicPublish{RoutingKey: queue}, wire.Properties{}, fmt.Sprint(i))
	}
}

// expectDeliveries reads messages from..to-1 in order and returns the last delivery tag.
func expectDeliveries(t *testing.T, c *conntest.Client, channel uint16, from, to int, redelivered bool) (tag uint64) {
	t.Helper()
	for i := from; i < to; i++ {
		d, body := c.Delivery(channel)
		if body != fmt.Sprint(i) || d.Redelivered != redelivered {
			t.Fatalf("delivery %+v %q, want %d, redelivered %v", d, body, i, redelivered)
		}
		tag = d.DeliveryTag
	}
	return tag
}

// nothing makes sure that no delivery is under way.
func nothing(c *conntest.Client, channel uint16, queue string) { c.Counts(channel, queue) }

// H14, H15: a consumer gets no more than its prefetch; each answer lets one more through.
func TestH14Prefetch(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 10)
	c.Send(1, &wire.BasicQos{PrefetchCount: 3})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	tag := expectDeliveries(t, c, 1, 0, 3, false)
	nothing(c, 1, "q")
	c.Send(1, &wire.BasicAck{DeliveryTag: tag - 1})
	expectDeliveries(t, c, 1, 3, 4, false)
	nothing(c, 1, "q")
	c.Send(1, &wire.BasicAck{Multiple: true}) // H17: 0 is all
	expectDeliveries(t, c, 1, 4, 7, false)
	nothing(c, 1, "q")
	if held := b.Held("/", "q"); held != 3 {
		t.Errorf("%d held, want 3", held)
	}
}

// Q3: with global=true all consumers of the channel share the prefetch.
func TestQ3GlobalPrefetch(t *testing.T) {
	b, c := open(t)
	c.Channel(2)
	for _, name := range []string{"a", "b", "c"} {
		c.Declare(1, &wire.QueueDeclare{Queue: name})
		fill(c, 1, name, 0, 20)
	}
	c.Send(1, &wire.BasicQos{PrefetchCount: 2, Global: true})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	for _, name := range []string{"a", "b", "c"} {
		c.Send(1, &wire.BasicConsume{Queue: name, ConsumerTag: name})
	}
	next := make(map[string]int)
	outstanding, oks, last := 0, 0, uint64(0)
	for got := 0; got < 60; {
		if outstanding == 2 && oks == 3 {
			c.Send(1, &wire.BasicAck{DeliveryTag: last, Multiple: true})
			outstanding = 0
		}
		channel, m := c.Method()
		if _, ok := m.(*wire.BasicConsumeOk); ok {
			oks++
			continue
		}
		d, ok := m.(*wire.BasicDeliver)
		if !ok || channel != 1 {
			t.Fatalf("got %s %+v", m.Name(), m)
		}
		_, body := c.Message()
		if body != fmt.Sprint(next[d.ConsumerTag]) || d.Redelivered {
			t.Fatalf("consumer %s got %q %v, want %d", d.ConsumerTag, body, d.Redelivered, next[d.ConsumerTag])
		}
		next[d.ConsumerTag]++
		got++
		last = d.DeliveryTag
		if outstanding++; outstanding > 2 {
			t.Fatalf("%d outstanding", outstanding)
		}
	}
	c.Send(1, &wire.BasicAck{Multiple: true})
	for _, name := range []string{"a", "b", "c"} {
		c.Counts(1, name)
		if held := b.Held("/", name); held != 0 {
			t.Errorf("%d of %s held", held, name)
		}
	}
}

// Q3: one consumer uses the whole of the shared prefetch, and a change counts at once.
func TestQ3GlobalPrefetchOfOneConsumer(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 50)
	c.Send(1, &wire.BasicQos{PrefetchCount: 5, Global: true})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, c, 1, 0, 5, false)
	nothing(c, 1, "q")
	c.Send(1, &wire.BasicQos{PrefetchCount: 8, Global: true})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	tag := expectDeliveries(t, c, 1, 5, 8, false)
	nothing(c, 1, "q")
	c.Send(1, &wire.BasicQos{Global: true}, &wire.BasicAck{DeliveryTag: tag, Multiple: true})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	expectDeliveries(t, c, 1, 8, 50, false)
}

// Q3: consumers of one queue that share a prefetch get its messages in their order,
// in turn, and none goes back; what was acknowledged early is used while the rest is held.
func TestQ3GlobalPrefetchOfOneQueue(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.BasicQos{PrefetchCount: 3, Global: true})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	for _, tag := range []string{"one", "two"} {
		c.Consume(1, &wire.BasicConsume{Queue: "q", ConsumerTag: tag})
	}
	fill(c, 1, "q", 0, 40)
	got := make(map[string]int)
	for i := range 40 {
		d, body := c.Delivery(1)
		if body != fmt.Sprint(i) || d.Redelivered {
			t.Fatalf("got %q, redelivered %v, want %d", body, d.Redelivered, i)
		}
		got[d.ConsumerTag]++
		if held := b.Held("/", "q"); held > 3 {
			t.Fatalf("%d handed out", held)
		}
		if i >= 1 && i != 20 {
			c.Send(1, &wire.BasicAck{DeliveryTag: d.DeliveryTag})
		}
	}
	if got["one"] < 10 || got["two"] < 10 {
		t.Errorf("shared out as %v", got)
	}
}

// Q3: the credit of a consumer that goes is the others'.
func TestQ3GlobalPrefetchIsInherited(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.BasicQos{PrefetchCount: 2, Global: true})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "q", ConsumerTag: "one"})
	c.Consume(1, &wire.BasicConsume{Queue: "q", ConsumerTag: "two"})
	c.Send(1, &wire.BasicCancel{ConsumerTag: "one"})
	conntest.Expect[*wire.BasicCancelOk](c, 1)
	fill(c, 1, "q", 0, 2)
	expectDeliveries(t, c, 1, 0, 2, false)
}

// H18, H19: requeued messages come back in their places, flagged.
func TestH18NackRequeues(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 6)
	c.Send(1, &wire.BasicQos{PrefetchCount: 3})
	conntest.Expect[*wire.BasicQosOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	tag := expectDeliveries(t, c, 1, 0, 3, false)
	c.Send(1, &wire.BasicNack{DeliveryTag: tag, Multiple: true, Requeue: true})
	tag = expectDeliveries(t, c, 1, 0, 3, true)
	c.Send(1, &wire.BasicReject{DeliveryTag: tag - 2}) // dropped
	expectDeliveries(t, c, 1, 3, 4, false)
	c.Send(1, &wire.BasicReject{DeliveryTag: tag - 1, Requeue: true})
	expectDeliveries(t, c, 1, 1, 2, true)
}

// H20: recover gives back all that is unacknowledged.
func TestH20Recover(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 2)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, c, 1, 0, 2, false)
	c.Send(1, &wire.BasicRecover{Requeue: true})
	var bodies []string
	for recovered := false; !recovered || len(bodies) < 2; {
		switch _, m := c.Method(); m := m.(type) {
		case *wire.BasicRecoverOk:
			recovered = true
		case *wire.BasicDeliver:
			_, body := c.Message()
			bodies = append(bodies, body)
			if !m.Redelivered {
				t.Errorf("%q is not flagged", body)
			}
		}
	}
	if got := strings.Join(bodies, " "); got != "0 1" {
		t.Errorf("redelivered %s", got)
	}
	c.Send(1, &wire.BasicRecoverAsync{})
	expectDeliveries(t, c, 1, 0, 2, true)
}

// H12: a consumer whose queue goes is told, if its client understands that.
func TestH12ConsumerCancelNotification(t *testing.T) {
	_, address := start(t)
	for _, able := range []bool{true, false} {
		c := conntest.Dial(t, address)
		m := conntest.DefaultStartOk()
		m.ClientProperties["capabilities"] = wire.Table{"consumer_cancel_notify": able}
		c.Login(m)
		c.OpenVHost("/")
		c.Channel(1)
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		tag := c.Consume(1, &wire.BasicConsume{Queue: "q"})
		if !strings.HasPrefix(tag, "amq.ctag-") || len(tag) != len("amq.ctag-")+22 {
			t.Errorf("H1 consumer tag %q", tag)
		}
		c.Send(1, &wire.QueueDelete{Queue: "q"})
		oks := 0
		for want := map[bool]int{true: 2, false: 1}[able]; oks < want; oks++ {
			switch _, m := c.Method(); m := m.(type) {
			case *wire.QueueDeleteOk:
			case *wire.BasicCancel:
				if !able || m.ConsumerTag != tag || !m.NoWait {
					t.Errorf("capability %v: got %+v", able, m)
				}
			}
		}
		c.Send(1, &wire.BasicCancel{ConsumerTag: tag}) // H13: unknown by now
		conntest.Expect[*wire.BasicCancelOk](c, 1)
	}
}

// H13: what a cancelled consumer holds stays with the channel.
func TestH13Cancel(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 3)
	tag := c.Consume(1, &wire.BasicConsume{Queue: "q"})
	last := expectDeliveries(t, c, 1, 0, 3, false)
	c.Send(1, &wire.BasicCancel{ConsumerTag: tag})
	conntest.Expect[*wire.BasicCancelOk](c, 1)
	if held := b.Held("/", "q"); held != 3 {
		t.Errorf("%d held, want 3", held)
	}
	fill(c, 1, "q", 3, 4)
	if ready, consumers := c.Counts(1, "q"); ready != 1 || consumers != 0 {
		t.Errorf("%d ready, %d consumers, want 1, 0", ready, consumers)
	}
	c.Send(1, &wire.BasicAck{DeliveryTag: last, Multiple: true})
	c.Counts(1, "q")
	if held := b.Held("/", "q"); held != 0 {
		t.Errorf("%d held, want none", held)
	}
}

// C2: a paused channel gets nothing, and all of it in order afterwards.
func TestC2Flow(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	c.Send(1, &wire.ChannelFlow{Active: false})
	if m := conntest.Expect[*wire.ChannelFlowOk](c, 1); m.Active {
		t.Error("flow-ok says active")
	}
	fill(c, 1, "q", 0, 5)
	if ready, _ := c.Counts(1, "q"); ready != 5 {
		t.Errorf("%d ready, want 5", ready)
	}
	c.Channel(2) // C2: the others have it
	c.Consume(2, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, c, 2, 0, 5, false)
	c.Send(2, &wire.ChannelClose{})
	conntest.Expect[*wire.ChannelCloseOk](c, 2)
	c.Declare(1, &wire.QueueDeclare{Queue: "r"})
	c.Consume(1, &wire.BasicConsume{Queue: "r", NoAck: true}) // has no credit, either
	fill(c, 1, "r", 5, 10)
	if ready, _ := c.Counts(1, "r"); ready != 5 {
		t.Errorf("%d ready, want 5", ready)
	}
	c.Send(1, &wire.ChannelFlow{Active: false}, &wire.ChannelFlow{Active: false}) // once more changes nothing
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	c.Send(1, &wire.QueuePurge{Queue: "r"}, &wire.ChannelFlow{Active: true})
	conntest.Expect[*wire.QueuePurgeOk](c, 1)
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	expectDeliveries(t, c, 1, 0, 5, true)
	c.Send(1, &wire.ChannelFlow{Active: true})
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	fill(c, 1, "r", 0, 5)
	expectDeliveries(t, c, 1, 0, 5, false)
}

// C2, H13: what waits on a paused channel is nobody's when its consumer is cancelled.
func TestC2CancelWhilePaused(t *testing.T) {
	b, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	tag := c.Consume(1, &wire.BasicConsume{Queue: "q"})
	c.Send(1, &wire.ChannelFlow{Active: false})
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	fill(c, 1, "q", 0, 5)
	nothing(c, 1, "q")
	c.Send(1, &wire.BasicCancel{ConsumerTag: tag})
	conntest.Expect[*wire.BasicCancelOk](c, 1)
	if ready, _ := c.Counts(1, "q"); ready != 5 || b.Held("/", "q") != 0 {
		t.Errorf("%d ready, %d held", ready, b.Held("/", "q"))
	}
	c.Send(1, &wire.ChannelFlow{Active: true})
	conntest.Expect[*wire.ChannelFlowOk](c, 1)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, c, 1, 0, 5, false)
}

// C3, B24: what a channel or a connection holds goes back with it.
func TestC3CloseRequeues(t *testing.T) {
	b, address := start(t)
	holder, c := conntest.Open(t, address), conntest.Open(t, address)
	holder.Channel(1)
	holder.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(holder, 1, "q", 0, 4)
	holder.Consume(1, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, holder, 1, 0, 4, false)
	holder.Send(1, &wire.ChannelClose{ReplyCode: 200})
	conntest.Expect[*wire.ChannelCloseOk](holder, 1)
	holder.Channel(1) // runs after the end of the old one
	if held := b.Held("/", "q"); held != 0 {
		t.Errorf("%d held", held)
	}
	holder.Consume(1, &wire.BasicConsume{Queue: "q"})
	expectDeliveries(t, holder, 1, 0, 4, true)
	c.Channel(1)
	c.Consume(1, &wire.BasicConsume{Queue: "q"})
	holder.Conn.Close()
	expectDeliveries(t, c, 1, 0, 4, true)
}

// E3, E4, B24: exclusive queues go with their connection, auto-delete ones with their last consumer.
func TestE3ExclusiveQueues(t *testing.T) {
	_, address := start(t)
	owner, other := conntest.Open(t, address), conntest.Open(t, address)
	owner.Channel(1)
	name := owner.Declare(1, &wire.QueueDeclare{Exclusive: true}).Queue
	if !strings.HasPrefix(name, "amq.gen-") || len(name) != len("amq.gen-")+22 { // E7
		t.Errorf("E7 queue name %q", name)
	}
	owner.Declare(1, &wire.QueueDeclare{Queue: "auto", AutoDelete: true})
	tag := owner.Consume(1, &wire.BasicConsume{Queue: "auto"})
	other.Channel(1)
	locked := fmt.Sprintf("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%s' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.", name)
	for _, m := range []wire.Method{
		&wire.QueueDeclare{Queue: name, Passive: true}, &wire.BasicConsume{Queue: name},
		&wire.BasicGet{Queue: name}, &wire.QueuePurge{Queue: name}, &wire.QueueDelete{Queue: name}, &wire.QueueBind{Queue: name, Exchange: "amq.topic"},
	} {
		other.Send(1, m)
		other.ExpectChannelClose(1, 405, locked)
		other.Channel(1)
	}
	owner.Send(1, &wire.BasicCancel{ConsumerTag: tag})
	conntest.Expect[*wire.BasicCancelOk](owner, 1)
	owner.Send(1, &wire.QueueDeclare{Queue: "auto", Passive: true})
	owner.ExpectChannelClose(1, 404, "NOT_FOUND - no queue 'auto' in vhost '/'")
	owner.Send(0, &wire.ConnectionClose{ReplyCode: 200})
	conntest.Expect[*wire.ConnectionCloseOk](owner, 0)
	owner.ExpectEOF()
	for range 1000 { // the end of the connection is not announced to others
		other.Send(1, &wire.QueueDeclare{Queue: name, Passive: true})
		m := conntest.Expect[*wire.ChannelClose](other, 1)
		other.Send(1, &wire.ChannelCloseOk{})
		if m.ReplyCode == 404 {
			return
		}
		other.Channel(1)
	}
	t.Error("the exclusive queue outlives its connection")
}

// E8: an empty queue name is the one declared last; empty key and name bind by the queue's name.
func TestE8LastQueue(t *testing.T) {
	_, c := open(t)
	name := c.Declare(1, &wire.QueueDeclare{Exclusive: true}).Queue
	c.Send(1, &wire.QueueBind{Exchange: "amq.direct"})
	conntest.Expect[*wire.QueueBindOk](c, 1)
	c.Publish(1, &wire.BasicPublish{Exchange: "amq.direct", RoutingKey: name}, wire.Properties{}, "m")
	c.Send(1, &wire.BasicGet{NoAck: true})
	conntest.Expect[*wire.BasicGetOk](c, 1)
	c.Message()
	c.Send(1, &wire.QueuePurge{})
	conntest.Expect[*wire.QueuePurgeOk](c, 1)
	c.Send(1, &wire.QueueUnbind{Exchange: "amq.direct"})
	conntest.Expect[*wire.QueueUnbindOk](c, 1)
	c.Send(1, &wire.QueueDelete{})
	conntest.Expect[*wire.QueueDeleteOk](c, 1)
	c.Send(1, &wire.QueueDelete{}) // F6: missing is fine
	conntest.Expect[*wire.QueueDeleteOk](c, 1)
}

// H16: basic.get with and without a message, its answers like a consumer's.
func TestH16Get(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	c.Send(1, &wire.BasicGet{Queue: "q"})
	conntest.Expect[*wire.BasicGetEmpty](c, 1)
	fill(c, 1, "q", 0, 3)
	c.Send(1, &wire.BasicGet{Queue: "q"})
	m := conntest.Expect[*wire.BasicGetOk](c, 1)
	if _, body := c.Message(); body != "0" || m.DeliveryTag != 1 || m.MessageCount != 2 || m.Redelivered || m.RoutingKey != "q" {
		t.Errorf("got %+v %q", m, body)
	}
	c.Send(1, &wire.BasicReject{DeliveryTag: 1, Requeue: true}, &wire.BasicGet{Queue: "q"})
	m = conntest.Expect[*wire.BasicGetOk](c, 1)
	if _, body := c.Message(); body != "0" || m.DeliveryTag != 2 || !m.Redelivered {
		t.Errorf("got %+v %q", m, body)
	}
	c.Send(1, &wire.BasicAck{DeliveryTag: 2})
	if ready, _ := c.Counts(1, "q"); ready != 2 {
		t.Errorf("%d ready, want 2", ready)
	}
	c.Send(1, &wire.QueuePurge{Queue: "q"}) // F5
	if m := conntest.Expect[*wire.QueuePurgeOk](c, 1); m.MessageCount != 2 {
		t.Errorf("purged %d, want 2", m.MessageCount)
	}
}

// H15: without prefetch and acknowledgement bytes bound what is under way, and all of it comes.
func TestH15ByteCreditIsGivenBack(t *testing.T) {
	_, c := open(t, func(c *connection.Config) { c.DeliveryWindow, c.DeliveryBudget = 1000, 1000 })
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	fill(c, 1, "q", 0, 5000)
	c.Consume(1, &wire.BasicConsume{Queue: "q", NoAck: true})
	expectDeliveries(t, c, 1, 0, 5000, false)
	c.Channel(2)
	fill(c, 2, "q", 5000, 10_000)
	expectDeliveries(t, c, 1, 5000, 10_000, false)
}

// H22: consumers of one queue take turns.
func TestH22RoundRobin(t *testing.T) {
	_, c := open(t)
	c.Declare(1, &wire.QueueDeclare{Queue: "q"})
	for i := range 3 {
		c.Consume(1, &wire.BasicConsume{Queue: "q", ConsumerTag: fmt.Sprint(i)})
	}
	fill(c, 1, "q", 0, 9)
	seen := make(map[string]int)
	for range 9 {
		d, _ := c.Delivery(1)
		seen[d.ConsumerTag]++
	}
	if seen["0"] != 3 || seen["1"] != 3 || seen["2"] != 3 {
		t.Errorf("deliveries %v, want 3 each", seen)
	}
}

// C4 and the answers that clients send without being asked.
func TestC4Relics(t *testing.T) {
	_, c := open(t)
	c.Send(1, &wire.AccessRequest{Realm: "/data"})
	if m := conntest.Expect[*wire.AccessRequestOk](c, 1); m.Ticket != 1 {
		t.Errorf("ticket %d", m.Ticket)
	}
	c.Send(1, &wire.BasicCancelOk{}, &wire.ChannelFlowOk{})
	c.Channel(2)
}
