package wire

// The methods of every message, without allocations.

// Decode decodes a method frame's payload that holds basic.publish into m, all of
// whose fields it sets. Exchange and routing key come from in.
func (m *BasicPublish) Decode(payload []byte, in *Interner) error {
	d, err := begin(payload, KeyBasicPublish)
	if err != nil {
		return err
	}
	d.interner = in
	m.decode(&d)
	return d.finish(KeyBasicPublish, payload)
}

// Decode decodes a method frame's payload that holds basic.ack into m.
func (m *BasicAck) Decode(payload []byte) error {
	d, err := begin(payload, KeyBasicAck)
	if err != nil {
		return err
	}
	m.decode(&d)
	return d.finish(KeyBasicAck, payload)
}

// begin returns a decoder of the fields of the method named by key.
func begin(payload []byte, key MethodKey) (decoder, error) {
	if PeekMethod(payload) != key {
		return decoder{}, decodeFault(key, payload, errOtherMethod)
	}
	return decoder{b: payload[methodHeaderSize:]}, nil
}

// AppendDeliver appends the method frame of basic.deliver.
func AppendDeliver(dst []byte, channel uint16, consumerTag string, deliveryTag uint64, redelivered bool, exchange, routingKey string) []byte {
	m := BasicDeliver{ConsumerTag: consumerTag, DeliveryTag: deliveryTag, Redelivered: redelivered, Exchange: exchange, RoutingKey: routingKey}
	start := len(dst)
	return endFrame(m.append(beginMethod(dst, channel, KeyBasicDeliver)), start)
}

// AppendAck appends the method frame of basic.ack: a publisher's confirm.
func AppendAck(dst []byte, channel uint16, deliveryTag uint64, multiple bool) []byte {
	m := BasicAck{DeliveryTag: deliveryTag, Multiple: multiple}
	start := len(dst)
	return endFrame(m.append(beginMethod(dst, channel, KeyBasicAck)), start)
}

// AppendNack appends the method frame of basic.nack: a confirm that never comes.
func AppendNack(dst []byte, channel uint16, deliveryTag uint64, multiple bool) []byte {
	m := BasicNack{DeliveryTag: deliveryTag, Multiple: multiple}
	start := len(dst)
	return endFrame(m.append(beginMethod(dst, channel, KeyBasicNack)), start)
}

// beginMethod begins a method frame and writes the ids.
func beginMethod(dst []byte, channel uint16, key MethodKey) []byte {
	return appendLong(beginFrame(dst, FrameMethod, channel), uint32(key))
}
