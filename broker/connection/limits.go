package connection

import (
	"context"

	"github.com/warrenmq/warren/broker/wire"
)

// addChannel counts one more channel of a user, or says why it must not be (B17).
func (l *Listener) addChannel(ctx context.Context, user string) error {
	limit, limited := 0, false
	if l.cfg.Admission != nil {
		limit, limited = l.cfg.Admission.MaxChannels(user)
	}
	elsewhere := 0
	if limited && l.cfg.ChannelsElsewhere != nil {
		elsewhere = l.cfg.ChannelsElsewhere(ctx, user)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case limited && l.channels[user]+elsewhere >= limit:
		return fault(wire.NotAllowed, "number of channels opened for user '%s' has reached the maximum allowed user limit of %d", user, limit)
	case l.cfg.MaxChannels > 0 && l.channelCount >= l.cfg.MaxChannels:
		return fault(wire.NotAllowed, "number of channels opened on node '%s' has reached the maximum allowed limit of %d", l.cfg.Node, l.cfg.MaxChannels)
	}
	l.channels[user]++
	l.channelCount++
	return nil
}

// removeChannels forgets n channels of a user.
func (l *Listener) removeChannels(user string, n int) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.channelCount -= n
	if l.channels[user] -= n; l.channels[user] == 0 {
		delete(l.channels, user)
	}
}
