package connection

import (
	"context"
	"math"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// Consumer timeout (H11), as RabbitMQ 4.3 has it, for queues of every type: a
// delivery that is not answered in time goes back to its queue, and its consumer
// is cancelled, or its channel closed where the client does not know of that.
// One timer a connection rings when the first delivery is due, and none is set
// while nothing is unacknowledged.

// clock is milliseconds since the connection was made, from 1 on.
func (c *conn) clock() int64 { return time.Since(c.connectedAt).Milliseconds() + 1 }

// timeoutTick is how often a connection looks at most.
const timeoutTick = 100 // ms

// expect sets the timer for an answer that is due then. The outbox is locked.
func (c *conn) expect(now, due int64) {
	if c.due != 0 && c.due <= due {
		return
	}
	c.due = due
	in := time.Duration(max(due-now, timeoutTick)) * time.Millisecond
	if c.timer == nil {
		c.timer = time.AfterFunc(in, c.nudge)
		return
	}
	c.timer.Reset(in)
}

func (c *conn) stopTimer() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// expire returns the deliveries whose time is up and sets the timer for the next.
func (c *conn) expire(ctx context.Context) {
	now := c.clock()
	c.out.mu.Lock()
	rung := c.due != 0 && now >= c.due
	if rung {
		c.due = 0
	}
	c.out.mu.Unlock()
	if !rung {
		return
	}
	for _, ch := range c.channels {
		if ch.closing {
			continue
		}
		if err := ch.expire(ctx, now); err != nil {
			c.fail(ctx, ch.id, err)
		}
	}
}

func (ch *channel) expire(ctx context.Context, now int64) error {
	overdue, lost, err := ch.takeOverdue(now)
	if err != nil {
		return err
	}
	for _, k := range lost { // first, or what goes back would come again
		ch.c.logger.Warn("consumer cancelled: delivery acknowledgement timed out", "channel", ch.id, "consumer", k.tag, "timeout", k.timeout)
		ch.stop(ctx, k, true)
	}
	ch.out.mu.Lock()
	for _, d := range overdue {
		ch.note(d, leader.Requeue)
	}
	ch.out.mu.Unlock()
	ch.c.settle()
	if len(lost) > 0 {
		ch.grant()
	}
	return nil
}

// takeOverdue takes out what is overdue and names the consumers that had it. Of
// whom cannot be told (H12), or is no consumer any more, the channel has to go.
func (ch *channel) takeOverdue(now int64) (overdue []outstanding, lost []*consumer, err error) {
	ch.out.mu.Lock()
	defer ch.out.mu.Unlock()
	next := int64(math.MaxInt64)
	for i := range ch.unacked.list {
		d := &ch.unacked.list[i]
		if d.from == nil || d.from.timeout == 0 {
			continue
		}
		if due := d.at + d.from.timeout; due > now {
			next = min(next, due)
			continue
		}
		k := d.from.consumer
		if k == nil || !ch.c.cancelNotify || k.over && !k.timedOut || ch.expired >= unackedMax {
			return nil, nil, fault(wire.PreconditionFailed, "delivery acknowledgement on channel %d timed out. Timeout value used: %d ms. "+
				"This timeout value can be configured, see consumers doc guide to learn more", ch.id, d.from.timeout)
		}
		if !k.timedOut {
			k.timedOut = true
			lost = append(lost, k)
		}
		overdue = append(overdue, *d)
		d.from = &ch.nobody
		ch.expired++
	}
	if next != math.MaxInt64 {
		ch.c.expect(now, next)
	}
	return overdue, lost, nil
}

// answerTime is how long a delivery of a queue may be kept, in milliseconds, 0 for
// ever: the least of what the queue's argument and its policies say, else the
// node's default. A consumer may ask for another.
func (ch *channel) answerTime(s *queue.Settings) int64 {
	if s.ConsumerTimeout.Set {
		return max(s.ConsumerTimeout.N, 0)
	}
	return max(ch.c.cfg.ConsumerTimeout, 0).Milliseconds()
}
