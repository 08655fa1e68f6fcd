package diff

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/wire"
)

// Channel is one channel of a Conn.
type Channel struct {
	conn      *Conn
	number    uint16
	closed    bool // its close is in the transcript
	confirmed map[uint64]string
}

func (ch *Channel) s() *S { return ch.conn.s }

// Conn is the channel's connection.
func (ch *Channel) Conn() *Conn { return ch.conn }

func (ch *Channel) name() string { return fmt.Sprintf("%s.%d", ch.conn.name, ch.number) }

func (ch *Channel) record(it Item) {
	ch.s().Record("%s < %s", ch.name(), it.line(ch.conn.opts.frames, ch.s().counters))
	switch it.Method.(type) {
	case *wire.ChannelClose, *wire.ChannelCloseOk:
		ch.closed = true
	case *wire.ConfirmSelectOk:
		ch.confirmed = nil
	}
}

// Open opens the channel, also again. Only a refusal is recorded.
func (ch *Channel) Open() {
	ch.closed = false
	mark := len(ch.s().lines)
	if _, ok := ch.Do(&wire.ChannelOpen{}).Method.(*wire.ChannelOpenOk); ok {
		ch.s().lines = ch.s().lines[:mark]
	}
}

// Send sends a method and waits for nothing: for those without an answer, with
// no-wait, or whose answer is looked at later with Answer.
func (ch *Channel) Send(m wire.Method) {
	ch.s().Record("%s > %s", ch.name(), methodText(m))
	ch.write(wire.AppendMethodFrame(nil, ch.number, m))
}

func (ch *Channel) write(b []byte) {
	if ch.closed && !ch.conn.opts.manualClose {
		ch.s().stop("%s is closed", ch.name())
	}
	ch.conn.write(b)
}

// Do sends a method and records its answer, which may be a close of the
// channel or of the connection. Deliveries, returns and confirms that come
// meanwhile wait for Expect.
func (ch *Channel) Do(m wire.Method) Item {
	ch.Send(m)
	return ch.await("answer to "+m.Name(), Item.answer)
}

// Answer records the answer to a method that was sent before.
func (ch *Channel) Answer() Item { return ch.await("answer", Item.answer) }

// Expect records the next thing that came, whatever it is.
func (ch *Channel) Expect() Item { return ch.await("frame", func(Item) bool { return true }) }

// ExpectN records the next n things in the order they came; it stops at the
// end of the channel.
func (ch *Channel) ExpectN(n int) []Item {
	var all []Item
	for range n {
		if ch.closed || ch.conn.over {
			break
		}
		all = append(all, ch.Expect())
	}
	return all
}

// ExpectSorted records the next n things in the order of their text, for what
// has no order of its own. Delivery tags are left out of it.
func (ch *Channel) ExpectSorted(n int) []Item {
	s := ch.s()
	mark := len(s.lines)
	var all []Item
	for range n {
		if ch.closed || ch.conn.over {
			break
		}
		it, ok, ended := ch.conn.take(ch.number, answerLimit, func(Item) bool { return true })
		if !ok {
			if ended {
				ch.conn.finish()
				break
			}
			s.stop("%s: %d of %d frames came", ch.name(), len(all), n)
		}
		all = append(all, it)
		shown := it
		if d, ok := it.Method.(*wire.BasicDeliver); ok {
			untagged := *d
			untagged.DeliveryTag = 0
			shown.Method = &untagged
		}
		ch.record(shown)
	}
	slices.Sort(s.lines[mark:])
	return all
}

func (ch *Channel) await(what string, wanted func(Item) bool) Item {
	s := ch.s()
	switch {
	case ch.conn.over:
		s.stop("%s is closed", ch.conn.name)
	case ch.closed && !ch.conn.opts.manualClose:
		s.stop("%s is closed", ch.name())
	}
	it, ok, ended := ch.conn.take(ch.number, answerLimit, wanted)
	switch {
	case ok:
		ch.record(it)
		return it
	case ended:
		return ch.conn.finish()
	default:
		s.stop("%s: no %s", ch.name(), what)
		return Item{}
	}
}

// Quiet records that nothing has come that was not looked at, as of a round
// trip to the channel; with queues, as of a round trip to each of them. What
// came is recorded instead.
func (ch *Channel) Quiet(queues ...string) {
	s := ch.s()
	mark := len(s.lines)
	trips := []wire.Method{&wire.ChannelFlow{Active: true}}
	for _, q := range queues {
		trips = append(trips, &wire.QueueDeclare{Queue: q, Passive: true})
	}
	for _, m := range trips {
		if it := ch.Do(m); it.Code() != 0 {
			return
		}
	}
	s.lines = s.lines[:mark]
	quiet := true
	for {
		it, ok, _ := ch.conn.take(ch.number, 0, func(Item) bool { return true })
		if !ok {
			break
		}
		quiet = false
		ch.record(it)
	}
	if quiet {
		s.Record("%s quiet", ch.name())
	}
}

// Publish sends a message.
func (ch *Channel) Publish(exchange, key string, p P, body string) {
	ch.PublishWith(&wire.BasicPublish{Exchange: exchange, RoutingKey: key}, p, body)
}

// PublishWith sends a message with the flags of m.
func (ch *Channel) PublishWith(m *wire.BasicPublish, p P, body string) {
	raw, err := p.Append(nil)
	if err != nil {
		panic(fmt.Sprintf("%s: properties: %v", ch.name(), err))
	}
	ch.PublishRaw(m, raw, body)
}

// PublishRaw sends a message whose property flags and list are given in octets.
func (ch *Channel) PublishRaw(m *wire.BasicPublish, raw []byte, body string) {
	ch.s().Record("%s > %s%s %s", ch.name(), methodText(m), rawProperties(raw), bodyText([]byte(body)))
	b := wire.AppendMethodFrame(nil, ch.number, m)
	frameMax := uint32(131072)
	if t := ch.conn.opts.tune; t != nil && t.FrameMax > 0 {
		frameMax = t.FrameMax
	}
	b = wire.AppendContent(b, ch.number, frameMax, wire.ClassBasic, raw, []byte(body))
	ch.write(b)
}

// Header sends a content header frame.
func (ch *Channel) Header(bodySize uint64, p P) {
	raw, err := p.Append(nil)
	if err != nil {
		panic(fmt.Sprintf("%s: properties: %v", ch.name(), err))
	}
	h := binary.BigEndian.AppendUint16(nil, wire.ClassBasic)
	h = binary.BigEndian.AppendUint16(h, 0)
	h = append(binary.BigEndian.AppendUint64(h, bodySize), raw...)
	ch.s().Record("%s > header size=%d%s", ch.name(), bodySize, rawProperties(raw))
	ch.write(wire.AppendFrame(nil, wire.FrameHeader, ch.number, h))
}

// Body sends a body frame.
func (ch *Channel) Body(b string) {
	ch.s().Record("%s > body %s", ch.name(), bodyText([]byte(b)))
	ch.write(wire.AppendFrame(nil, wire.FrameBody, ch.number, []byte(b)))
}

// Confirm is confirm.select.
func (ch *Channel) Confirm() Item { return ch.Do(&wire.ConfirmSelect{}) }

// Confirms waits until n more messages are confirmed and records them in the
// order of their numbers, whatever their order and grouping was. For how
// confirms and returns follow each other, use Expect.
func (ch *Channel) Confirms(n int) []string {
	if ch.confirmed == nil {
		ch.confirmed = make(map[uint64]string)
	}
	fresh := make(map[uint64]string)
	for len(fresh) < n {
		mark := len(ch.s().lines)
		it := ch.await(fmt.Sprintf("confirm after %d of %d", len(fresh), n), func(it Item) bool {
			switch it.Method.(type) {
			case *wire.BasicAck, *wire.BasicNack, *wire.ChannelClose:
				return true
			}
			return false
		})
		switch m := it.Method.(type) {
		case *wire.BasicAck:
			ch.confirm(fresh, m.DeliveryTag, m.Multiple, "ack")
		case *wire.BasicNack:
			ch.confirm(fresh, m.DeliveryTag, m.Multiple, "nack")
		default:
			return nil // the close is recorded
		}
		ch.s().lines = ch.s().lines[:mark]
	}
	line, answers := ch.name()+" < confirms", []string(nil)
	for _, tag := range slices.Sorted(maps.Keys(fresh)) {
		line += fmt.Sprintf(" %d:%s", tag, fresh[tag])
		answers = append(answers, fresh[tag])
	}
	ch.s().Record("%s", line)
	return answers
}

func (ch *Channel) confirm(fresh map[uint64]string, tag uint64, multiple bool, answer string) {
	from := tag
	if multiple {
		from = 1
	}
	for t := from; t <= tag; t++ {
		if _, ok := ch.confirmed[t]; ok {
			if !multiple {
				fresh[t] += "+" + answer // told twice
			}
			continue
		}
		ch.confirmed[t], fresh[t] = answer, answer
	}
}

// Queue declares a queue of the run's kind, and gives its name.
func (ch *Channel) Queue(what string, args T) string {
	name := ch.s().Name(what)
	ch.Declare(wire.QueueDeclare{Queue: name, Arguments: args})
	return name
}

// Declare declares a queue as told and of the run's kind.
func (ch *Channel) Declare(m wire.QueueDeclare) Item {
	ch.s().Record("%s > %s", ch.name(), strings.Replace(methodText(&m), "queue.declare queue=", "queue ", 1))
	args := m.Arguments
	m.Arguments = T{}
	maps.Copy(m.Arguments, args)
	switch ch.s().kind {
	case Classic:
		m.Durable = true
	case Quorum, RealQuorum:
		m.Durable = true
		m.Arguments["x-queue-type"] = "quorum"
	case Exclusive:
		m.Exclusive = true
	}
	ch.write(wire.AppendMethodFrame(nil, ch.number, &m))
	return ch.Answer()
}

// Exchange declares a durable exchange, and gives its name.
func (ch *Channel) Exchange(what, kind string, args T) string {
	name := ch.s().Name(what)
	ch.Do(&wire.ExchangeDeclare{Exchange: name, Type: kind, Durable: true, Arguments: args})
	return name
}

// Bind binds a queue.
func (ch *Channel) Bind(queue, exchange, key string, args T) Item {
	return ch.Do(&wire.QueueBind{Queue: queue, Exchange: exchange, RoutingKey: key, Arguments: args})
}

// Consume subscribes with acknowledgements.
func (ch *Channel) Consume(queue, tag string, args T) Item {
	return ch.Do(&wire.BasicConsume{Queue: queue, ConsumerTag: tag, Arguments: args})
}

// ConsumeNoAck subscribes without them.
func (ch *Channel) ConsumeNoAck(queue, tag string, args T) Item {
	return ch.Do(&wire.BasicConsume{Queue: queue, ConsumerTag: tag, NoAck: true, Arguments: args})
}

// Get is basic.get, to be acknowledged.
func (ch *Channel) Get(queue string) Item { return ch.Do(&wire.BasicGet{Queue: queue}) }

// GetNoAck is basic.get that settles at once.
func (ch *Channel) GetNoAck(queue string) Item {
	return ch.Do(&wire.BasicGet{Queue: queue, NoAck: true})
}

// Ack acknowledges one delivery.
func (ch *Channel) Ack(tag uint64) { ch.Send(&wire.BasicAck{DeliveryTag: tag}) }

// Nack is basic.nack of one delivery.
func (ch *Channel) Nack(tag uint64, requeue bool) {
	ch.Send(&wire.BasicNack{DeliveryTag: tag, Requeue: requeue})
}

// Reject is basic.reject.
func (ch *Channel) Reject(tag uint64, requeue bool) {
	ch.Send(&wire.BasicReject{DeliveryTag: tag, Requeue: requeue})
}

// Qos sets the prefetch of the consumers to come.
func (ch *Channel) Qos(prefetch uint16) Item { return ch.Do(&wire.BasicQos{PrefetchCount: prefetch}) }

// Close closes the channel and records the answer.
func (ch *Channel) Close() Item {
	return ch.Do(&wire.ChannelClose{ReplyCode: wire.ReplySuccess, ReplyText: "bye"})
}

// Await waits on this channel until a queue has this many ready messages and
// consumers; -1 is any.
func (ch *Channel) Await(queue string, messages, consumers int) {
	ch.s().Eventually(fmt.Sprintf("queue %s has %s ready, %s consumers", queue, count(messages), count(consumers)), func() bool {
		return ch.has(queue, messages, consumers)
	})
}

func (ch *Channel) has(queue string, messages, consumers int) bool {
	it := ch.Do(&wire.QueueDeclare{Queue: queue, Passive: true})
	ok, is := it.Method.(*wire.QueueDeclareOk)
	if !is {
		ch.s().stop("%s: %s", ch.name(), it.line(false, false))
	}
	return (messages < 0 || ok.MessageCount == uint32(messages)) &&
		(consumers < 0 || ok.ConsumerCount == uint32(consumers))
}
