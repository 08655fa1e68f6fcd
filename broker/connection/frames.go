package connection

import (
	"context"

	"github.com/warrenmq/warren/broker/wire"
)

// frame runs one frame of an open connection. done: the client has closed it.
func (c *conn) frame(ctx context.Context, f wire.Frame) (done bool, err error) {
	switch {
	case f.Type == wire.FrameHeartbeat:
		return false, nil
	case f.Channel != 0:
		ch := c.channels[f.Channel]
		if ch == nil {
			return false, c.openChannel(ctx, f)
		}
		return false, ch.frame(ctx, f)
	case f.Type != wire.FrameMethod:
		return false, f.Unexpected()
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return false, err
	}
	c.settle()
	done, err = c.method(ctx, m)
	return done, of(m, err)
}

// method runs a method of channel 0.
func (c *conn) method(ctx context.Context, m wire.Method) (done bool, err error) {
	switch m.(type) {
	case *wire.ConnectionClose:
		c.leaveQueues(ctx)
		c.endChannels()
		c.dropOwned() // before the client goes on, maybe to declare them again
		c.out.end(wire.AppendMethodFrame(nil, 0, &wire.ConnectionCloseOk{}))
		return true, nil
	case *wire.ConnectionUpdateSecret:
		return false, c.updateSecret(ctx)
	default:
		return false, fault(wire.ChannelError, "unexpected method in connection state running")
	}
}

// leaveQueues deletes the auto-delete queues that only this connection consumes from.
func (c *conn) leaveQueues(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout)
	defer cancel()
	for _, ch := range c.channels {
		ch.leaveQueues(asked)
	}
}

// of names in err the method that it answers.
func of(m wire.Method, err error) error {
	if err == nil {
		return nil
	}
	e := *exception(err)
	if e.ClassID == 0 {
		e.ClassID, e.MethodID = m.ID()
	}
	return &e
}

// send answers on a channel.
func (c *conn) send(channel uint16, m wire.Method) {
	c.out.send(wire.AppendMethodFrame(nil, channel, m))
}

// openChannel runs the first frame on a channel: it must be channel.open (C1, B17).
func (c *conn) openChannel(ctx context.Context, f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return fault(wire.UnexpectedFrame, "expected method frame, got non method frame instead")
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return err
	}
	switch m.(type) {
	case *wire.ChannelOpen:
	case *wire.ChannelCloseOk:
		return nil // late, of a channel that both sides closed
	default:
		return of(m, fault(wire.ChannelError, "expected 'channel.open'"))
	}
	if len(c.channels) >= int(c.channelMax) { // their numbers may be any, as in RabbitMQ
		return fault(wire.NotAllowed, "number of channels opened (%d) has reached the negotiated channel_max (%d)", len(c.channels), c.channelMax)
	}
	if err := c.l.addChannel(ctx, c.user); err != nil {
		return err
	}
	c.channels[f.Channel] = newChannel(c, f.Channel)
	c.channelCount.Add(1)
	c.send(f.Channel, &wire.ChannelOpenOk{})
	return nil
}

// forget frees the channel's number (A5).
func (c *conn) forget(ch *channel) {
	delete(c.channels, ch.id)
	c.channelCount.Add(-1)
	c.l.removeChannels(c.user, 1)
}
