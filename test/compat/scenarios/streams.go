package scenarios

import (
	"fmt"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// streams is queues of x-queue-type=stream: what E14, E15 and E34 say of declaring
// them, H8 of consuming, and F5, H16 and others of what they refuse.
func streams() []Scenario {
	list := append(refusedStreams(), takenStreams()...)
	list = append(list, streamReaders()...)
	return append(list, []Scenario{
		{Name: "E15,E2/a stream stays one", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			stream(s, ch, "q", nil)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
			ch.Do(&wire.QueueDeclare{Queue: q, Durable: true})
		}},
		{Name: "E15,E2/a stream is no quorum queue", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			ch.Do(&wire.QueueDeclare{Queue: q, Durable: true, Arguments: T{"x-queue-type": "quorum"}})
		}},
		{Name: "E15,E2/a queue is no stream", Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Queue("q", nil)
			stream(s, ch, "q", nil)
		}},
		{Name: "E5,E15/a stream that is not durable", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Arguments: T{"x-queue-type": "stream"}})
		}},
		{Name: "E5,E15/a stream of one connection", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Exclusive: true, Arguments: T{"x-queue-type": "stream"}})
		}},
		{Name: "E4,E15/a stream that goes with its consumers", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, AutoDelete: true, Arguments: T{"x-queue-type": "stream"}})
		}},
		{Name: "E7,E15/a stream without a name", Run: func(s *S) {
			s.Connect().Channel().Do(&wire.QueueDeclare{Durable: true, Arguments: T{"x-queue-type": "stream"}})
		}},
		{Name: "H16/get from a stream", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "stays")
			ch.Get(q)
		}},
		{Name: "F5/purge of a stream", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "stays")
			ch.Do(&wire.QueuePurge{Queue: q})
		}},
		{Name: "F6,N1/a stream with messages and a consumer is deleted", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "goes")
			other := s.Connect().Channel()
			read(other, q, "tag", 10, "first")
			other.Ack(other.Expect().Tag())
			ch.Do(&wire.QueueDelete{Queue: q, IfUnused: true, IfEmpty: true})
			other.Expect()
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "N1,I1/publishes to a stream are confirmed, once they are bound too", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			x := ch.Exchange("x", "fanout", nil)
			ch.Bind(q, x, "", nil)
			ch.Confirm()
			ch.Publish("", q, P{}, "by name")
			ch.Confirms(1)
			ch.Publish(x, "a key", P{MessageID: "m", Headers: T{"a": "b"}, DeliveryMode: 1, Priority: 3}, "by an exchange")
			ch.Confirms(1)
			read(ch, q, "tag", 10, "first")
			ch.ExpectN(2)
		}},
		{Name: "N1,J1/nothing in a stream expires", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			ch.Confirm()
			ch.Publish("", q, P{Expiration: "0"}, "at once")
			ch.Publish("", q, P{Expiration: "100"}, "soon")
			ch.Confirms(2)
			s.Pause(500e6)
			read(ch, q, "tag", 10, "first")
			ch.ExpectN(2)
		}},
		{Name: "K4,N1/policies for streams", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Cleanup(func() { s.HTTP("DELETE", "/api/policies/%2F/"+q, nil) })
			for _, definition := range []T{
				{"max-age": "7D"}, {"max-age": "10s", "max-length-bytes": 1000, "stream-max-segment-size-bytes": 500},
				{"stream-max-segment-size-bytes": -1}, {"stream-max-segment-size-bytes": 3_000_000_001},
			} {
				s.HTTP("PUT", "/api/policies/%2F/"+q, T{"pattern": "^" + q + "$", "apply-to": "queues", "definition": definition})
			}
		}},
	}...)
}

// stream declares one.
func stream(s *S, ch *Channel, what string, args T) string {
	all := T{"x-queue-type": "stream"}
	for k, v := range args {
		all[k] = v
	}
	name := s.Name(what)
	ch.Do(&wire.QueueDeclare{Queue: name, Durable: true, Arguments: all})
	return name
}

// read consumes a stream.
func read(ch *Channel, q, tag string, prefetch uint16, from any) Item {
	ch.Do(&wire.BasicQos{PrefetchCount: prefetch})
	var args T
	if from != nil {
		args = T{"x-stream-offset": from}
	}
	return ch.Consume(q, tag, args)
}

func refusedStreams() (list []Scenario) {
	for _, c := range []struct {
		rows, name string
		value      any
	}{
		{"E12,E34", "x-max-age", "7"},
		{"E12,E34", "x-max-age", "0D"},
		{"E12,E34", "x-max-age", "7d"},
		{"E12,E34", "x-max-age", "7 D"},
		{"E12,E34", "x-max-age", int32(7)},
		{"E12,E34", "x-max-length-bytes", int64(-1)},
		{"E12,E34", "x-max-length-bytes", "many"},
		{"E12,E34", "x-stream-max-segment-size-bytes", int64(-1)},
		{"E12,E34", "x-stream-max-segment-size-bytes", "many"},
		{"E12,E34", "x-stream-max-segment-size-bytes", int64(3_000_000_001)},
		{"E12,E28", "x-initial-cluster-size", int32(0)},
		{"E12,E28", "x-initial-cluster-size", "all"},
		{"E12,E26", "x-queue-leader-locator", "nowhere"},
		{"E13,E16", "x-message-ttl", int32(1000)},
		{"E13,E17", "x-expires", int32(1000)},
		{"E13,E18", "x-max-length", int32(10)},
		{"E13,E19", "x-overflow", "drop-head"},
		{"E13,E20", "x-dead-letter-exchange", ""},
		{"E13,E22", "x-max-priority", int32(5)},
		{"E13,E23", "x-single-active-consumer", true},
		{"E13,E30", "x-delivery-limit", int32(5)},
		{"E13,E27", "x-quorum-initial-group-size", int32(3)},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("%s/a stream with %s %T %v is refused", c.rows, c.name, c.value, c.value), Run: func(s *S) {
			stream(s, s.Connect().Channel(), "q", T{c.name: c.value})
		}})
	}
	for _, age := range []string{"D", "-7D", ""} {
		list = append(list, Scenario{Name: fmt.Sprintf("E12,E34/a stream with x-max-age %q is refused", age), Source: "rabbit_amqqueue.erl, check_max_age/1 (main 5b09e55)", Delta: `
			- c1 < connection.close 541 "INTERNAL_ERROR" (0,0)
			- c1 < socket closed
			+ c1.1 < channel.close 406 "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'q' in vhost '/': invalid_max_age" (50,10)`, Run: func(s *S) {
			stream(s, s.Connect().Channel(), "q", T{"x-max-age": age})
		}})
	}
	for _, size := range []int32{15, 256} { // which 3.10 does not know
		list = append(list, Scenario{Name: fmt.Sprintf("E12,E34/a stream with x-stream-filter-size-bytes %d is refused", size), Source: "rabbit_stream_queue.erl, check_filter_size/1 (main 5b09e55)", Want: fmt.Sprintf(`
			c1 connects
			c1.1 > queue.declare queue=q durable arguments={x-queue-type=S:stream, x-stream-filter-size-bytes=I:%d}
			c1.1 < channel.close 406 "PRECONDITION_FAILED - Invalid value for x-stream-filter-size-bytes" (50,10)`, size), Run: func(s *S) {
			stream(s, s.Connect().Channel(), "q", T{"x-stream-filter-size-bytes": size})
		}})
	}
	return list
}

func takenStreams() (list []Scenario) {
	for _, c := range []struct {
		name  string
		value any
	}{
		{"x-max-age", "1Y"}, {"x-max-age", "2M"}, {"x-max-age", "7D"}, {"x-max-age", "12h"}, {"x-max-age", "90m"}, {"x-max-age", "10s"},
		{"x-max-length-bytes", int64(1) << 40},
		{"x-stream-max-segment-size-bytes", int64(3_000_000_000)},
		{"x-initial-cluster-size", int32(1)},
		{"x-queue-leader-locator", "client-local"},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("E34,E15/a stream with %s %v", c.name, c.value), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", T{c.name: c.value})
			stream(s, ch, "q", T{c.name: c.value})
			s.Put(q, "hello")
			read(ch, q, "tag", 1, "first")
			ch.Expect()
		}})
	}
	return list
}

// streamConsume is where the texts are from.
const streamConsume = "rabbit_stream_queue.erl, consume/3 (main 5b09e55)"

// streamReaders is H8.
func streamReaders() (list []Scenario) {
	for _, c := range []struct {
		name string
		from any
		n    int // of the five that are there, and two that come
	}{
		{"first", "first", 7},
		{"next", "next", 2},
		{"nothing said", nil, 2},
		{"an offset", int64(3), 4},
		{"an offset of another width", int32(4), 3},
		{"offset 0", int64(0), 7},
		{"an offset that is not there yet", int64(6), 1},
		{"a time", time.Unix(1_000_000_000, 0), 7},
		{"an age", "1h", 7},
	} {
		list = append(list, Scenario{Name: "H8/from " + c.name, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0", "1", "2", "3", "4")
			other := s.Connect().Channel()
			read(other, q, "tag", 100, c.from)
			s.Put(q, "5")
			s.Put(q, "6")
			other.ExpectN(c.n)
			other.Quiet()
		}})
	}
	list = append(list, Scenario{Name: "H8/from no age is refused", Run: func(s *S) {
		ch := s.Connect().Channel()
		read(ch, stream(s, ch, "q", nil), "tag", 10, "1x")
	}})
	for _, c := range []struct{ name, from, term string }{
		{"a word", "middle", `<<\"middle\">>`}, {"nothing", "", "<<>>"},
	} {
		list = append(list, Scenario{Name: "H8/from " + c.name + " is refused", Source: "rabbit_amqqueue.erl, check_stream_offset_arg/2 (main 5b09e55)", Delta: fmt.Sprintf(`
			- c1 < connection.close 541 "INTERNAL_ERROR" (0,0)
			- c1 < socket closed
			+ c1.1 < channel.close 406 "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 'q' in vhost '/': {invalid_stream_offset_arg,{longstr,%s}}" (60,20)`, c.term), Run: func(s *S) {
			ch := s.Connect().Channel()
			read(ch, stream(s, ch, "q", nil), "tag", 10, c.from)
		}})
	}
	return append(list, []Scenario{
		{Name: "H8/from the last", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0")
			s.Put(q, "1")
			read(ch, q, "tag", 10, "last")
			ch.Expect()
			s.Put(q, "2")
			ch.Expect()
		}},
		{Name: "H8,N1/reading takes nothing away", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0", "1", "2")
			for i := range 3 {
				other := s.Connect().Channel()
				read(other, q, fmt.Sprint("tag", i), 10, "first")
				for _, it := range other.ExpectN(3) {
					other.Ack(it.Tag())
				}
				other.Quiet()
			}
		}},
		{Name: "H8,H17,H18/every answer lets the next come, and nothing comes back", Source: "rabbit_stream_queue.erl, settle/5 (main 5b09e55)", Want: `
			c1 connects
			c1.1 > queue.declare queue=q durable arguments={x-queue-type=S:stream}
			c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			put exchange="" key=q "0"
			put exchange="" key=q "1"
			put exchange="" key=q "2"
			put exchange="" key=q "3"
			put exchange="" key=q "4"
			put exchange="" key=q "5"
			put exchange="" key=q "6"
			put exchange="" key=q "7"
			c1.1 > basic.qos prefetch-size=0 prefetch-count=1
			c1.1 < basic.qos-ok
			c1.1 > basic.consume queue=q consumer-tag=tag arguments={x-stream-offset=S:first}
			c1.1 < basic.consume-ok consumer-tag=tag
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=1 exchange="" routing-key=q headers={x-stream-offset=l:0} "0"
			c1.1 > basic.ack delivery-tag=1
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=2 exchange="" routing-key=q headers={x-stream-offset=l:1} "1"
			c1.1 > basic.reject delivery-tag=2
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=3 exchange="" routing-key=q headers={x-stream-offset=l:2} "2"
			c1.1 > basic.reject delivery-tag=3 requeue
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=4 exchange="" routing-key=q headers={x-stream-offset=l:3} "3"
			c1.1 > basic.nack delivery-tag=4
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=5 exchange="" routing-key=q headers={x-stream-offset=l:4} "4"
			c1.1 > basic.nack delivery-tag=5 requeue
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=6 exchange="" routing-key=q headers={x-stream-offset=l:5} "5"
			c1.1 quiet
			c1.1 > basic.recover requeue
			c1.1 < basic.recover-ok
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=7 exchange="" routing-key=q headers={x-stream-offset=l:6} "6"
			c1.1 quiet`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0", "1", "2", "3", "4", "5", "6", "7")
			read(ch, q, "tag", 1, "first")
			ch.Ack(ch.Expect().Tag())
			ch.Reject(ch.Expect().Tag(), false)
			ch.Reject(ch.Expect().Tag(), true)
			ch.Send(&wire.BasicNack{DeliveryTag: ch.Expect().Tag()})
			ch.Send(&wire.BasicNack{DeliveryTag: ch.Expect().Tag(), Requeue: true})
			ch.Expect()
			ch.Quiet()
			ch.Do(&wire.BasicRecover{Requeue: true})
			ch.Expect()
			ch.Quiet()
		}},
		{Name: "H8,H14/no more than the prefetch", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0", "1", "2", "3", "4", "5")
			read(ch, q, "tag", 3, "first")
			last := ch.ExpectN(3)[2]
			ch.Quiet()
			ch.Send(&wire.BasicAck{DeliveryTag: last.Tag(), Multiple: true})
			ch.ExpectN(3)
			ch.Quiet()
		}},
		{Name: "H8,H13/after a cancel another goes on", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0", "1", "2")
			read(ch, q, "tag", 1, "first")
			ch.Expect()
			ch.Do(&wire.BasicCancel{ConsumerTag: "tag"})
			read(ch, q, "tag", 10, int64(1))
			ch.ExpectN(2)
			ch.Quiet()
		}},
		{Name: "H8,H4/an exclusive consumer of a stream is not alone", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			s.Put(q, "0")
			for i := range 2 {
				ch.Do(&wire.BasicQos{PrefetchCount: 10})
				ch.Do(&wire.BasicConsume{Queue: q, ConsumerTag: fmt.Sprint("tag", i), Exclusive: true, Arguments: T{"x-stream-offset": "first"}})
				ch.Expect()
			}
		}},
		{Name: "H8/without a prefetch", Source: streamConsume, Delta: `
			- c1.1 < channel.close 406 "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 'q' in vhost '/''" (60,20)
			+ c1.1 < channel.close 406 "PRECONDITION_FAILED - consumer prefetch count is not set for stream queue 'q' in vhost '/'" (60,20)`, Run: func(s *S) {
			ch := s.Connect().Channel()
			ch.Consume(stream(s, ch, "q", nil), "tag", nil)
		}},
		{Name: "H8,H14/without a prefetch of its own", Source: streamConsume, Delta: `
			- c1.1 < channel.close 406 "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 'q' in vhost '/''" (60,20)
			+ c1.1 < channel.close 406 "PRECONDITION_FAILED - consumer prefetch count is not set for stream queue 'q' in vhost '/'" (60,20)`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			ch.Do(&wire.BasicQos{PrefetchCount: 10, Global: true})
			ch.Consume(q, "tag", nil)
		}},
		{Name: "H8,H14/with a prefetch of the channel beside its own", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			ch.Do(&wire.BasicQos{PrefetchCount: 10})
			ch.Do(&wire.BasicQos{PrefetchCount: 10, Global: true})
			ch.Consume(q, "tag", nil)
		}},
		{Name: "H8/without acknowledgements", Source: streamConsume, Delta: `
			- c1 < connection.close 540 "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues queue 'q' in vhost '/'" (60,20)
			+ c1 < connection.close 540 "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue 'q' in vhost '/'" (60,20)`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			ch.Do(&wire.BasicQos{PrefetchCount: 10})
			ch.ConsumeNoAck(q, "tag", nil)
		}},
		{Name: "H8,H6/with a priority", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := stream(s, ch, "q", nil)
			ch.Do(&wire.BasicQos{PrefetchCount: 10})
			ch.Consume(q, "tag", T{"x-priority": int32(1)})
		}},
		{Name: "H8/an offset in a queue that is no stream", Kinds: []Kind{Classic, RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", T{"x-stream-offset": "first"})
		}},
	}...)
}
