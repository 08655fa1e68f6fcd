package scenarios

import (
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// replyTo is the queue that stands for a channel's direct replies.
const replyTo = "amq.rabbitmq.reply-to"

// repliesTagged is where the delivery tags of replies come from: 3.10 does not count them.
const repliesTagged = "rabbit_channel.erl, handle_deliver0/4 and record_sent/8 (main 5b09e55)"

// replies is section M: direct reply-to.
func replies() []Scenario {
	return slices.Concat(replyErrors(), answers(), namesOfReplies(), replyQueues(), lostReplies())
}

// answers is M2: requests and replies.
func answers() []Scenario {
	return []Scenario{
		{Name: "M2,G11/a request and its reply", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Publish("", to, P{CorrelationID: "1"}, "answer")
			client.Expect()
		}},
		{Name: "M2,O1/replies through every node", Kinds: Everywhere(), Source: repliesTagged, Delta: `
			- c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=1 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "answer"
			+ c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=2 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "answer"
			- c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=1 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "answer"
			+ c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=3 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "answer"`, Run: func(s *S) {
			client, q := asker(s)
			for node := 1; node <= 3; node++ {
				ask(client, q, "question")
				server := s.Connect(Node(node)).Channel()
				to := served(server, q)
				server.Publish("", to, P{}, "answer")
				client.Expect()
				server.Conn().Close()
			}
		}},
		{Name: "M2,O1/clients at every node", Kinds: Everywhere(), Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			server := s.Connect().Channel()
			server.ConsumeNoAck(q, "server", nil)
			for node := 1; node <= 3; node++ {
				client := s.Connect(Node(node)).Channel()
				client.ConsumeNoAck(replyTo, "", nil)
				ask(client, q, "question")
				it := server.Expect()
				server.Publish("", it.Properties().ReplyTo, P{}, "answer")
				client.Expect()
			}
		}},
		{Name: "M2/many replies to one request", Kinds: Everywhere(), Source: repliesTagged, Delta: `
			- c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=1 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "2"
			- c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=1 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "3"
			+ c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=2 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "2"
			+ c1.1 < basic.deliver consumer-tag=amq.ctag-<1> delivery-tag=3 exchange="" routing-key=amq.rabbitmq.reply-to.<1> "3"`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			for _, b := range []string{"1", "2", "3"} {
				server.Publish("", to, P{}, b)
			}
			client.ExpectN(3)
		}},
		{Name: "M2/replies through the channel that asked", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "to myself")
			to := served(client, q)
			client.Publish("", to, P{}, "answer")
			client.Expect()
		}},
		{Name: "M2/two channels of a connection have replies of their own", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			a, b := c.Channel(), c.Channel()
			q := a.Queue("q", nil)
			a.ConsumeNoAck(replyTo, "replies", nil)
			b.ConsumeNoAck(replyTo, "replies", nil)
			server := s.Connect().Channel()
			ask(a, q, "of a")
			toA := served(server, q)
			ask(b, q, "of b")
			toB := served(server, q)
			server.Publish("", toB, P{}, "to b")
			b.Expect()
			server.Publish("", toA, P{}, "to a")
			a.Expect()
			b.Quiet()
		}},
		{Name: "M2,G5/a reply has the properties it was sent with", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Publish("", to, P{
				ContentType: "text/plain", CorrelationID: "c", MessageID: "m", AppID: "a", Type: "t",
				DeliveryMode: 2, Priority: 3, Headers: T{"own": "header", "n": int64(1)},
			}, "answer")
			client.Expect()
		}},
		{Name: "M2,A12/a reply of several frames", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Publish("", to, P{}, strings.Repeat("x", 300_000))
			client.Expect()
		}},
	}
}

// namesOfReplies is M2: the names that consumers and requests may have.
func namesOfReplies() []Scenario {
	return []Scenario{
		{Name: "M2/a reply-to of the client's own stays", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.PutWith("", q, P{ReplyTo: "some.queue"}, "question")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "M2/a reply-to through an exchange becomes the channel's", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			x := client.Exchange("x", "topic", nil)
			client.Bind(q, x, "rpc.#", nil)
			client.Publish(x, "rpc.add", P{ReplyTo: replyTo}, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Publish("", to, P{}, "answer")
			client.Expect()
		}},
		{Name: "M2/the consumer's name", Kinds: Everywhere(), Run: func(s *S) {
			client := s.Connect().Channel()
			q := client.Queue("q", nil)
			client.ConsumeNoAck(replyTo, "my replies", nil)
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Publish("", served(server, q), P{}, "answer")
			client.Expect()
		}},
		{Name: "M2/a consumer without waiting", Kinds: Everywhere(), Run: func(s *S) {
			client := s.Connect().Channel()
			q := client.Queue("q", nil)
			client.Send(&wire.BasicConsume{Queue: replyTo, ConsumerTag: "tag", NoAck: true, NoWait: true})
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Publish("", served(server, q), P{}, "answer")
			client.Expect()
		}},
		{Name: "M2,I1/a reply is confirmed", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Confirm()
			server.Publish("", to, P{}, "answer")
			server.Confirms(1)
			client.Expect()
		}},
		{Name: "M2/a server may answer after its own connection was another", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			first := s.Connect().Channel()
			to := served(first, q)
			first.Conn().Close()
			server := s.Connect().Channel()
			server.Publish("", to, P{}, "answer")
			client.Expect()
		}},
	}
}

// replyQueues is M3: what reply queues are to declares.
func replyQueues() []Scenario {
	return []Scenario{
		{Name: "M3/a reply queue that is there", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Do(&wire.QueueDeclare{Queue: to, Passive: true})
			server.Do(&wire.QueueDeclare{Queue: to})
		}},
		{Name: "M3/a reply queue whose channel is gone", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			client.Close()
			server.Do(&wire.QueueDeclare{Queue: to, Passive: true})
		}},
		{Name: "M3/a reply queue whose connection is cut", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			client.Conn().Cut()
			s.Eventually("nobody is there", func() bool {
				it := s.Connect().Channel().Do(&wire.QueueDeclare{Queue: to, Passive: true})
				return it.Code() == wire.NotFound
			})
			server.Do(&wire.QueueDeclare{Queue: to, Passive: true})
		}},
		{Name: "M3/the name that stands for replies", Kinds: Everywhere(), Run: func(s *S) {
			client, _ := asker(s)
			client.Do(&wire.QueueDeclare{Queue: replyTo, Passive: true})
		}},
	}
}

// lostReplies is M4: replies that nobody waits for.
func lostReplies() []Scenario {
	return []Scenario{
		{Name: "M4/a reply to a channel that is gone is dropped", Kinds: Everywhere(), Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			client.Close()
			server.Confirm()
			server.Publish("", to, P{}, "answer")
			server.Confirms(1)
			server.Quiet()
		}},
		{Name: "M4/a mandatory reply to a channel that is gone counts as routed", Kinds: Everywhere(), Source: "rabbit_volatile_queue.erl, new_target/1 (main 5b09e55)", Delta: `
			- c2.1 < basic.return reply-code=312 reply-text=NO_ROUTE exchange="" routing-key=amq.rabbitmq.reply-to.<1> "answer"
			+ c2.1 quiet`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			client.Close()
			server.Confirm()
			server.PublishWith(&wire.BasicPublish{RoutingKey: to, Mandatory: true}, P{}, "answer")
			server.Confirms(1)
			server.Quiet()
		}},
		{Name: "M4,G11/a mandatory reply arrives", Kinds: Everywhere(), Source: "rabbit_db_queue.erl, lookup_target/1 (main 5b09e55)", Delta: `
			- c2.1 < basic.return reply-code=312 reply-text=NO_ROUTE exchange="" routing-key=amq.rabbitmq.reply-to.<1> "answer"
			+ c2.1 quiet`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			server.Confirm()
			server.PublishWith(&wire.BasicPublish{RoutingKey: to, Mandatory: true}, P{}, "answer")
			server.Confirms(1)
			server.Quiet()
			client.Expect()
		}},
		{Name: "M4/no replies after the consumer's cancel", Kinds: Everywhere(), Run: func(s *S) {
			client := s.Connect().Channel()
			q := client.Queue("q", nil)
			client.ConsumeNoAck(replyTo, "tag", nil)
			ask(client, q, "question")
			server := s.Connect().Channel()
			to := served(server, q)
			client.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			server.Confirm()
			server.Publish("", to, P{}, "answer")
			server.Confirms(1)
			client.Quiet()
		}},
		{Name: "M4/another consumer after the first one's cancel", Kinds: Everywhere(), Run: func(s *S) {
			client := s.Connect().Channel()
			q := client.Queue("q", nil)
			client.ConsumeNoAck(replyTo, "first", nil)
			client.Do(&wire.BasicCancel{ConsumerTag: "first"})
			client.ConsumeNoAck(replyTo, "second", nil)
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Publish("", served(server, q), P{}, "answer")
			client.Expect()
		}},
		{Name: "M4/a reply with a name that nobody has", Source: "rabbit_volatile_queue.erl, pid_from_name/2 (main 5b09e55)", Delta: `
			- c1 < connection.close 541 "INTERNAL_ERROR" (0,0)
			- c1 < socket closed
			+ c1.1 < confirms 1:ack`, Run: func(s *S) {
			server := s.Connect().Channel()
			server.Confirm()
			server.Publish("", replyTo+".g2dkABByYWJiaXRAbG9jYWxob3N0AAAAAAAAAAAAAAAA.bm9ib2R5", P{}, "answer")
			server.Confirms(1)
		}},
	}
}

// replyErrors are what clients of direct reply-to may do wrong.
func replyErrors() []Scenario {
	return []Scenario{
		{Name: "M1/a consumer that would acknowledge", Run: func(s *S) {
			s.Connect().Channel().Consume(replyTo, "tag", nil)
		}},
		{Name: "M1/a second consumer", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.ConsumeNoAck(replyTo, "first", nil)
			ch.ConsumeNoAck(replyTo, "second", nil)
		}},
		{Name: "M1/a second consumer with the name of the first", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.ConsumeNoAck(replyTo, "tag", nil)
			ch.ConsumeNoAck(replyTo, "tag", nil)
		}},
		{Name: "M1/a consumer of another channel", Run: func(s *S) {
			c := s.Connect()
			c.Channel().ConsumeNoAck(replyTo, "tag", nil)
			c.Channel().ConsumeNoAck(replyTo, "tag", nil)
		}},
		{Name: "M1/flags of a reply consumer are not looked at", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Do(&wire.BasicConsume{Queue: replyTo, ConsumerTag: "tag", NoAck: true, Exclusive: true, NoLocal: true})
		}},
		{Name: "G10,M1/a request without a consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ask(ch, q, "question")
			ch.Expect()
		}},
		{Name: "G10/a request on another channel than the consumer's", Kinds: Everywhere(), Run: func(s *S) {
			c := s.Connect()
			a, b := c.Channel(), c.Channel()
			q := a.Queue("q", nil)
			a.ConsumeNoAck(replyTo, "tag", nil)
			ask(b, q, "question")
			b.Expect()
		}},
		{Name: "G10/a request after the consumer's cancel", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.ConsumeNoAck(replyTo, "tag", nil)
			ch.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			ask(ch, q, "question")
			ch.Expect()
		}},
		{Name: "M1/publishing to the name that stands for replies", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Confirm()
			ch.PublishWith(&wire.BasicPublish{RoutingKey: replyTo, Mandatory: true}, P{}, "answer")
			ch.ExpectN(2)
		}},
		{Name: "M5/get of replies", Run: func(s *S) {
			s.Connect().Channel().Get(replyTo)
		}},
		{Name: "M5/purge of replies", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueuePurge{Queue: replyTo})
		}},
		{Name: "M5/delete of replies", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDelete{Queue: replyTo})
		}},
		{Name: "F3/binding the name that stands for replies", Run: func(s *S) {
			s.Connect().Channel().Bind(replyTo, "amq.fanout", "", nil)
		}},
		{Name: "F3/binding a reply queue", Kinds: Everywhere(), Source: "rabbit_channel.erl, reject_volatile_queue_as_binding_target/2 (main 5b09e55)", Delta: `
			- c2.1 < channel.close 404 "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.<1>' in vhost '/'" (50,20)
			+ c2.1 < channel.close 403 "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue" (50,20)`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Bind(served(server, q), "amq.fanout", "", nil)
		}},
		{Name: "F3/unbinding a reply queue", Kinds: Everywhere(), Source: "rabbit_channel.erl, reject_volatile_queue_as_binding_target/2 (main 5b09e55)", Delta: `
			- c2.1 < queue.unbind-ok
			+ c2.1 < channel.close 403 "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue" (50,50)`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Do(&wire.QueueUnbind{Queue: served(server, q), Exchange: "amq.fanout"})
		}},
		{Name: "M5/get of a reply queue", Kinds: Everywhere(), Source: "rabbit_volatile_queue.erl, dequeue/6 (main 5b09e55)", Delta: `
			- c2.1 < channel.close 404 "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.<1>' in vhost '/'" (60,70)
			+ c2 < connection.close 540 "NOT_IMPLEMENTED - basic.get not supported by volatile queue 'amq.rabbitmq.reply-to.<1>' in vhost '/'" (60,70)
			+ c2 < socket closed`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Get(served(server, q))
		}},
		{Name: "M5/consuming a reply queue by its name", Kinds: Everywhere(), Source: "rabbit_volatile_queue.erl, consume/3 (main 5b09e55)", Delta: `
			- c2.1 < channel.close 404 "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.<1>' in vhost '/'" (60,20)
			+ c2.1 < channel.close 406 "PRECONDITION_FAILED - only creator channel may consume from queue 'amq.rabbitmq.reply-to.<1>' in vhost '/'" (60,20)`, Run: func(s *S) {
			client, q := asker(s)
			ask(client, q, "question")
			server := s.Connect().Channel()
			server.Consume(served(server, q), "tag", nil)
		}},
	}
}

// asker is a channel that takes direct replies, and a queue for its requests.
func asker(s *S) (ch *Channel, requests string) {
	ch = s.Connect().Channel()
	requests = ch.Queue("q", nil)
	ch.ConsumeNoAck(replyTo, "", nil)
	return ch, requests
}

// ask sends a request for a direct reply.
func ask(ch *Channel, queue, question string) {
	ch.Publish("", queue, P{ReplyTo: replyTo, CorrelationID: "1"}, question)
}

// served takes the next request and gives where its reply goes.
func served(ch *Channel, queue string) string {
	ch.Await(queue, 1, -1)
	return ch.GetNoAck(queue).Properties().ReplyTo
}
