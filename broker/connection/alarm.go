package connection

import (
	"context"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// awaitAlarms holds a publish back while its target is short of room (B18, Q5).
// The client is told, if it can be; nothing more is read from it, so its silence
// counts for nothing; deliveries go on. What ends the wait beside the alarm is
// the end of the connection: an operator's, the node's, or that of the socket,
// which shows when a heartbeat cannot be sent.
func (c *conn) awaitAlarms(ctx context.Context, to []queue.ID) error {
	if c.cfg.Alarms == nil || len(to) == 0 {
		return nil
	}
	reason, changed, blocked := c.cfg.Alarms.Blocked(to)
	if !blocked {
		return nil
	}
	c.settle() // acknowledgements make room
	c.logger.Info("publisher blocked", "user", c.user, "reason", reason)
	c.blocked.Store(true)
	defer c.blocked.Store(false)
	if c.blockedNotify {
		c.send(0, &wire.ConnectionBlocked{Reason: reason})
	}
	for blocked {
		select {
		case <-changed:
			_, changed, blocked = c.cfg.Alarms.Blocked(to)
		case <-c.bell:
			if c.nudged.Swap(false) {
				c.attend(ctx)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.blockedNotify {
		c.send(0, &wire.ConnectionUnblocked{})
	}
	return nil
}
