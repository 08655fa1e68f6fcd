// Package diff holds Warren against RabbitMQ. A Scenario is a short program of
// AMQP operations; it runs on Debian's RabbitMQ and on a cluster of three
// Warren nodes, and what the two answer, the transcript, must be the same. The
// table of scenarios is package test/compat/scenarios.
//
// A scenario is a function of *S. Connections are clients that say what they
// are told to and no more; each goes to the next node of Warren. What is sent
// and what is answered becomes lines of the transcript:
//
//	{Name: "E10/passive declare of nothing", Run: func(s *S) {
//		ch := s.Connect().Channel()
//		ch.Do(&wire.QueueDeclare{Queue: s.Name("q"), Passive: true})
//	}},
//
//	c1 connects
//	c1.1 > queue.declare queue=q passive
//	c1.1 < channel.close 404 "NOT_FOUND - no queue 'q' in vhost '/'" (50,10)
//
// Channel.Do sends a method and records its answer, or the close that came
// instead; Send waits for nothing, Answer gets the answer later. What comes when
// it comes (deliveries, returns, confirms, basic.cancel) waits until Expect,
// ExpectN or, where there is no order, ExpectSorted records it; Confirms is for
// acks whose grouping does not matter. Quiet says that nothing else came, as of a
// round trip to the channel and to queues. Nothing sleeps for what can be asked:
// Eventually, Await, S.Queue and S.Gone ask until it is so and record only that;
// S.Pause is for what time alone brings.
//
//	{Name: "H18,J5/a rejected message is dead-lettered", Kinds: Everywhere(), Run: func(s *S) {
//		ch := s.Connect().Channel()
//		dead := ch.Queue("dead", nil)       // a queue of the run's kind
//		q := ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
//		s.Put(q, "a", "b")                  // published aside and confirmed
//		other := s.Connect().Channel()      // through another node
//		other.Consume(q, "tag", nil)
//		other.Reject(other.Expect().Tag(), false)
//		other.Ack(other.Expect().Tag())
//		other.Quiet(q)
//		ch.Await(dead, 1, 0)
//		ch.Get(dead)                        // x-death with its order and types
//	}},
//
// Kinds is the kinds of queue that the scenario runs with on Warren; RabbitMQ
// runs with a durable classic queue, which all kinds must be like. A
// connection that is closed by the broker is answered by itself (unless
// ManualClose) and its end recorded; a run that goes on with what is closed, or
// waits in vain, ends there with a line "stopped: ...", which fails on Warren even
// when RabbitMQ stops there too.
//
// At frame level, Dial says nothing by itself, and anything can be sent:
//
//	{Name: "A9/a frame that ends wrong", Run: func(s *S) {
//		c := s.Connect()
//		c.Bytes("a heartbeat with a wrong end", []byte{8, 0, 0, 0, 0, 0, 0, 0xCD})
//		c.Expect()
//	}},
//
// Names come from S.Name, users, virtual hosts and policies from S.User,
// S.VHost and S.Policy; all are made unique, appear as they were asked for, and
// go with the run. S.HTTP is any request of RabbitMQ's management API. S.Alarm
// makes nodes short of memory or disk space; what disturbs others runs Alone.
//
// Where RabbitMQ 4.x differs from Debian's 3.10, or Warren on purpose from
// both, a scenario has a Delta: the lines that differ ("- " RabbitMQ 3.10's, "+ "
// Warren's), as a failure prints them, with a Source for 4.x's behaviour, or in
// Differs the row of a difference that package scenarios names. Upgrade is a function that rewrites 3.10's lines,
// where many scenarios would have the same Delta. Want is a whole transcript, for what 3.10 does
// not have at all. An expectation is never taken from what Warren does.
//
// Authors look at one broker alone with WARREN_COMPAT_ONLY=rabbitmq (or warren)
// and go test -v, and share one RabbitMQ: see the command test/compat/rabbitmq.
package diff
