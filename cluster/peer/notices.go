package peer

import (
	"log/slog"
	"sync"
	"time"
)

const (
	noticeEvery = 10 * time.Minute // the same notice is not logged again sooner
	noticeLimit = 1024             // notices remembered; beyond it the memory starts anew
)

// notices logs what a peer does again and again once.
type notices struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]time.Time
}

func newNotices(log *slog.Logger) *notices {
	return &notices{log: log, seen: make(map[string]time.Time)}
}

func (n *notices) warn(text, who, why string) {
	now := time.Now()
	key := text + "\x00" + who + "\x00" + why
	n.mu.Lock()
	last, known := n.seen[key]
	fresh := !known || now.Sub(last) >= noticeEvery
	if fresh {
		if len(n.seen) >= noticeLimit {
			clear(n.seen)
		}
		n.seen[key] = now
	}
	n.mu.Unlock()
	if fresh {
		n.log.Warn(text, "peer", who, "reason", why)
	}
}
