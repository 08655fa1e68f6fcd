package scenarios

import (
	"fmt"
	"slices"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// confirms is section I: confirms and transactions.
func confirms() []Scenario {
	return slices.Concat(confirmed(), confirmedOtherwise(), channelModes(), transactions(), settledInTransactions())
}

// confirmed is I1 and I2: what is confirmed, and when.
func confirmed() []Scenario {
	return []Scenario{
		{Name: "I1/confirm numbers from one", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Publish("", q, P{}, "before")
			ch.Confirm()
			ch.Publish("", q, P{}, "after")
			ch.Confirms(1)
			ch.Await(q, 2, 0)
		}},
		{Name: "I1/select twice", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{}, "one")
			ch.Confirms(1)
			ch.Confirm()
			ch.Publish("", q, P{}, "two")
			ch.Confirms(1)
		}},
		{Name: "I1/select without waiting", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Send(&wire.ConfirmSelect{NoWait: true})
			ch.Publish("", q, P{}, "one")
			ch.Confirms(1)
		}},
		{Name: "I1/each channel has its own numbers", Run: func(s *S) {
			c := s.Connect()
			a, b := c.Channel(), c.Channel()
			q := a.Queue("q", nil)
			a.Confirm()
			b.Confirm()
			a.Publish("", q, P{}, "a")
			a.Confirms(1)
			b.Publish("", q, P{}, "b")
			b.Confirms(1)
		}},
		{Name: "I1,I2/a hundred confirms", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			s.Silently(func() {
				for i := range 100 {
					ch.Publish("", q, P{}, fmt.Sprint(i))
				}
			})
			ch.Confirms(100)
			count(ch, q)
		}},
		{Name: "I2/a message to several queues is confirmed once", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "fanout", nil)
			for _, q := range []string{"a", "b", "c"} {
				ch.Bind(ch.Queue(q, nil), x, "", nil)
			}
			ch.Confirm()
			ch.Publish(x, "", P{}, "hello")
			ch.Confirms(1)
			count(ch, s.Name("a"), s.Name("b"), s.Name("c"))
			ch.Quiet()
		}},
		{Name: "I2/unroutable and routable messages are all confirmed", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			for i := range 6 {
				key := q
				if i%2 == 0 {
					key = s.Name("nobody")
				}
				ch.Publish("", key, P{}, fmt.Sprint(i))
			}
			ch.Confirms(6)
			count(ch, q)
		}},
	}
}

// confirmedOtherwise is I3, I4 and L2: nacks, deleted queues, publishers that do not wait.
func confirmedOtherwise() []Scenario {
	return []Scenario{
		{Name: "I3,E19/a full queue refuses with nack", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(2), "x-overflow": "reject-publish"})
			ch.Confirm()
			for i := range 4 {
				ch.Publish("", q, P{}, fmt.Sprint(i))
			}
			ch.Confirms(4)
			count(ch, q)
			ch.GetNoAck(q)
			ch.Publish("", q, P{}, "there is room again")
			ch.Confirms(1)
		}},
		{Name: "I3/one of two queues is full", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x := ch.Exchange("x", "fanout", nil)
			full, free := ch.Queue("full", T{"x-max-length": int32(0), "x-overflow": "reject-publish"}), ch.Queue("free", nil)
			ch.Bind(full, x, "", nil)
			ch.Bind(free, x, "", nil)
			ch.Confirm()
			ch.Publish(x, "", P{}, "hello")
			ch.Confirms(1)
			ch.Await(free, 1, 0)
			count(ch, full)
		}},
		{Name: "I4/confirms of a queue that is deleted meanwhile", Kinds: Everywhere(), Run: func(s *S) {
			ch, other := s.Connect().Channel(), s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			for i := range 20 {
				ch.Publish("", q, P{}, fmt.Sprint(i))
			}
			s.Silently(func() { other.Do(&wire.QueueDelete{Queue: q}) })
			ch.Confirms(20)
		}},
		{Name: "L2,I1,C5/ten thousand messages without waiting for a confirm", Kinds: Everywhere(), Run: func(s *S) {
			const n = 10_000
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			count, ordered := make(map[string]int), 0
			s.Silently(func() {
				for i := range n {
					ch.Publish("", q, P{DeliveryMode: 2}, fmt.Sprint(i))
				}
				for _, answer := range ch.Confirms(n) {
					count[answer]++
				}
			})
			s.Record("confirms %v", count)
			consumer := s.Connect().Channel()
			consumer.ConsumeNoAck(q, "tag", nil)
			s.Silently(func() {
				for i := range n {
					if string(consumer.Expect().Body) == fmt.Sprint(i) {
						ordered++
					}
				}
			})
			s.Record("%d deliveries in the order of their publishing", ordered)
			consumer.Quiet(q)
			ch.Quiet()
		}},
	}
}

// channelModes is I5: confirms and transactions exclude each other.
func channelModes() []Scenario {
	return []Scenario{
		{Name: "I5/confirm on a channel with transactions", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.TxSelect{})
			ch.Do(&wire.ConfirmSelect{})
		}},
		{Name: "I5/confirm on a channel with a transaction under way", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.TxSelect{})
			ch.Publish("", q, P{}, "never")
			ch.Do(&wire.ConfirmSelect{})
			s.Put(q, "next")
			s.Connect().Channel().Get(q)
		}},
		{Name: "I5/transactions on a channel with a confirm under way", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Confirm()
			ch.Publish("", q, P{}, "there")
			ch.Do(&wire.TxSelect{})
			s.Queue(q, 1, 0)
		}},
		{Name: "I5/transactions on a channel with confirms", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			ch.Do(&wire.TxSelect{})
		}},
	}
}

// transactions is I6: publishing in transactions.
func transactions() []Scenario {
	return []Scenario{
		{Name: "I6/commit without a transaction", Run: func(s *S) { s.Connect().Channel().Do(&wire.TxCommit{}) }},
		{Name: "I6/rollback without a transaction", Run: func(s *S) { s.Connect().Channel().Do(&wire.TxRollback{}) }},
		{Name: "I6/select twice", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.TxSelect{})
			ch.Do(&wire.TxSelect{})
			ch.Do(&wire.TxCommit{})
			ch.Do(&wire.TxRollback{})
		}},
		{Name: "I6/messages come with the commit", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.TxSelect{})
			ch.Publish("", q, P{}, "one")
			ch.Publish("", q, P{}, "two")
			count(ch, q)
			ch.Do(&wire.TxCommit{})
			count(ch, q)
		}},
		{Name: "I6/messages go with the rollback", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.TxSelect{})
			ch.Publish("", q, P{}, "one")
			ch.Do(&wire.TxRollback{})
			ch.Do(&wire.TxCommit{})
			count(ch, q)
		}},
		{Name: "I6/messages go with the channel", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Do(&wire.TxSelect{})
			ch.Publish("", q, P{}, "one")
			ch.Close()
			count(s.Connect().Channel(), q)
		}},
		{Name: "I6,G2/returns come with the commit", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.TxSelect{})
			ch.PublishWith(&wire.BasicPublish{RoutingKey: s.Name("nobody"), Mandatory: true}, P{}, "hello")
			ch.Quiet()
			ch.Do(&wire.TxCommit{})
			ch.Expect()
		}},
		{Name: "I6,G1/publish to no exchange in a transaction", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.TxSelect{})
			ch.Publish(s.Name("nobody"), "k", P{}, "hello")
			ch.Expect()
		}},
		{Name: "I6/a full queue in a transaction", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(0), "x-overflow": "reject-publish"})
			ch.Do(&wire.TxSelect{})
			ch.Publish("", q, P{}, "hello")
			ch.Do(&wire.TxCommit{})
		}},
	}
}

// settledInTransactions is I7: acks in transactions.
func settledInTransactions() []Scenario {
	return []Scenario{
		{Name: "I7/acks come with the commit", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Do(&wire.TxSelect{})
			ch.Ack(ch.Get(q).Tag())
			ch.Do(&wire.TxCommit{})
			ch.Close()
			other := s.Connect().Channel()
			other.Await(q, 1, 0)
			other.Get(q)
		}},
		{Name: "I7/acks go with the channel", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Do(&wire.TxSelect{})
			ch.Ack(ch.Get(q).Tag())
			ch.Close()
			other := s.Connect().Channel()
			other.Await(q, 2, 0)
			other.Get(q)
		}},
		{Name: "I7/acks may be given again after the rollback", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Do(&wire.TxSelect{})
			tag := ch.Get(q).Tag()
			ch.Ack(tag)
			ch.Do(&wire.TxRollback{})
			ch.Ack(tag)
			ch.Do(&wire.TxCommit{})
			ch.Close()
			count(s.Connect().Channel(), q)
		}},
		{Name: "I7/rejects come with the commit", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Do(&wire.TxSelect{})
			ch.Reject(ch.Get(q).Tag(), true)
			count(ch, q)
			ch.Do(&wire.TxCommit{})
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "I7,H17/ack of an unknown delivery in a transaction", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.TxSelect{})
			ch.Ack(9)
			ch.Expect()
		}},
	}
}
