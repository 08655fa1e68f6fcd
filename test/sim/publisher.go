package sim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// route is where a publisher publishes: which queues get it is known beforehand.
type route struct {
	exchange, key string
	queues        []string
}

// publisher publishes through one node after another, with confirms.
type publisher struct {
	w      *Workload
	host   string
	rng    *rand.Rand
	routes []route
	window int
	pause  time.Duration // mean, between messages
	at     *Machine      // nil: any

	mu      sync.Mutex
	waiting []*message // by tag, from first on; nil: answered
	first   uint64     // tag of waiting[0]
	open    int        // unanswered
	room    chan struct{}
}

// run publishes until ctx ends; then it waits for the confirms of what it has
// published over the last connection.
func (p *publisher) run(ctx context.Context) {
	for ctx.Err() == nil {
		m := p.at
		if m == nil {
			m = p.w.pick(p.rng)
		}
		p.mu.Lock()
		p.waiting, p.first, p.open, p.room = nil, 1, 0, make(chan struct{}, 1)
		p.mu.Unlock()
		cl, err := p.w.c.Dial(p.host, m, events{confirmed: p.confirmed})
		if err == nil {
			_, err = cl.Call(&wire.ConfirmSelect{})
		}
		if err == nil {
			p.publish(ctx, cl, m)
			if ctx.Err() != nil {
				p.awaitConfirms(cl)
			}
		}
		if cl != nil {
			p.w.judge(cl)
			cl.Abort()
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// publish publishes until the connection or ctx ends.
func (p *publisher) publish(ctx context.Context, cl *Client, m *Machine) {
	channel := p.w.h.newChannel()
	for n := 1; ctx.Err() == nil; n++ {
		if !p.awaitRoom(ctx, cl) {
			return
		}
		r := p.routes[p.rng.IntN(len(p.routes))]
		padding := p.rng.IntN(200)
		if p.rng.IntN(50) == 0 {
			padding = 20_000
		}
		msg, body := p.w.h.publishing(channel, n, m, r.queues, padding)
		p.mu.Lock()
		p.waiting = append(p.waiting, msg)
		p.open++
		p.mu.Unlock()
		if cl.Publish(r.exchange, r.key, body) != nil {
			return
		}
		if p.rng.IntN(4) > 0 {
			wait(ctx, time.Duration(p.rng.Int64N(int64(2*p.pause))))
		}
	}
}

func (p *publisher) awaitRoom(ctx context.Context, cl *Client) bool {
	for {
		p.mu.Lock()
		full := p.open >= p.window
		p.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-p.room:
		case <-cl.ended:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// awaitConfirms waits for what is unanswered as long as the connection stands.
func (p *publisher) awaitConfirms(cl *Client) {
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	for {
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-p.room:
		case <-cl.ended:
			return
		case <-timer.C:
			p.w.c.failure("%d messages of %s are not confirmed %v after the end", open, p.host, drainTime)
			return
		}
	}
}

func (p *publisher) confirmed(tag uint64, multiple, ack bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := tag
	if multiple {
		from = p.first
	}
	if tag < p.first || tag >= p.first+uint64(len(p.waiting)) {
		p.w.c.failure("%s hears of tag %d, and has published %d", p.host, tag, int(p.first)+len(p.waiting)-1)
		return
	}
	for t := from; t <= tag; t++ {
		m := p.waiting[t-p.first]
		if m == nil {
			if !multiple {
				p.w.c.failure("%s hears twice of tag %d", p.host, tag)
			}
			continue
		}
		p.waiting[t-p.first] = nil
		p.open--
		p.w.h.confirm(m, ack)
	}
	for len(p.waiting) > 0 && p.waiting[0] == nil {
		p.waiting = p.waiting[1:]
		p.first++
	}
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
