package routing

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"github.com/warrenmq/warren/broker/topology"
)

func (c *Cache) names(f *fixture, exchange, key string) string {
	r := c.Route(exchange, key, nil, nil)
	if r.Exchange == nil {
		return "none"
	}
	return f.names(r.Queues)
}

func TestCacheNoticesWhatHappensFarAway(t *testing.T) {
	f := newFixture(t)
	c := NewCache(f.table, "/")
	f.queue("q")
	f.exchange("top", topology.Fanout, nil)
	f.exchange("middle", topology.Direct, topology.Arguments{"alternate-exchange": "bottom"})
	f.link("top", "middle", "")
	for _, step := range []struct {
		name   string
		change func()
		want   string
	}{
		{"nothing is bound", func() {}, ""},
		{"the alternate of a destination appears", func() { f.exchange("bottom", topology.Fanout, nil); f.bind("bottom", "q", "", nil) }, "q"},
		{"it loses its binding", func() { f.unbind("bottom", "q", "", nil) }, ""},
		{"the destination gets a binding", func() { f.bind("middle", "q", "k", nil) }, "q"},
		{"the queue goes", func() { f.apply(topology.DeleteQueue{VHost: "/", Name: "q"}) }, ""},
		{"the queue comes back, unbound", func() { f.queue("q") }, ""},
		{"and bound", func() { f.bind("top", "q", "", nil) }, "q"},
		{"the exchange goes", func() { f.apply(topology.DeleteExchange{VHost: "/", Name: "top"}) }, "none"},
		{"another of its name comes", func() { f.exchange("top", topology.Direct, nil) }, ""},
		{"the vhost goes", func() { f.apply(topology.DeleteVHost{Name: "/"}) }, "none"},
	} {
		step.change()
		for range 2 * admitEvery {
			if got := c.names(f, "top", "k"); got != step.want {
				t.Errorf("%s: Route = %q, want %q", step.name, got, step.want)
			}
		}
	}
}

func TestCacheKeepsWhatOthersDoNotTouch(t *testing.T) {
	f := newFixture(t)
	c := NewCache(f.table, "/")
	f.queue("q")
	f.bind("amq.direct", "q", "k", nil)
	for range admitEvery {
		c.names(f, "amq.direct", "k")
	}
	f.queue("reply")
	f.bind("amq.fanout", "reply", "", nil)
	allocated := testing.AllocsPerRun(100, func() { c.Route("amq.direct", "k", nil, nil) })
	r := c.routes[routeKey{"amq.direct", "k"}]
	if r == nil || r.generation != r.x.generation.Load() || allocated != 0 {
		t.Errorf("the route of another exchange was dropped: %+v, %v allocations", r, allocated)
	}
}

func TestCacheIsBounded(t *testing.T) {
	f := newFixture(t)
	c := NewCache(f.table, "/")
	for i := range 5000 {
		name := fmt.Sprint("q", i)
		f.queue(name)
		f.bind("amq.fanout", name, "", nil)
		if i < 1000 {
			f.bind("amq.topic", name, "big.#", nil)
		}
	}
	check := func(exchange, key string, want int) {
		t.Helper()
		ids := c.Route(exchange, key, nil, nil).Queues
		total := 0
		for _, r := range c.routes {
			total += len(r.queues)
		}
		if len(ids) != want || len(c.routes) > maxCachedRoutes || total != c.queues || total > maxCachedQueues {
			t.Fatalf("Route(%q, %q): %d queues, want %d; the cache holds %d routes with %d queues, counted %d",
				exchange, key, len(ids), want, len(c.routes), total, c.queues)
		}
	}
	for i := range 2000 {
		if i%100 == 0 { // everything that is kept is found again, and bigger
			f.bind("amq.topic", fmt.Sprint("q", 1000+i), "big.#", nil)
		}
		check("amq.fanout", fmt.Sprint(i), 5000)
		check("amq.topic", fmt.Sprint("big.", i%7), 1001+i/100)
		check("amq.direct", fmt.Sprint(i), 0)
	}
}

func TestCacheCopiesBorrowedStrings(t *testing.T) {
	f := newFixture(t)
	c := NewCache(f.table, "/")
	f.queue("q")
	f.bind("amq.direct", "q", "key", nil)
	buffer := []byte("amq.directkey")
	borrowed := unsafe.String(&buffer[0], len(buffer))
	for range admitEvery {
		c.Route(borrowed[:10], borrowed[10:], nil, nil)
	}
	f.bind("amq.direct", "q", "other", nil) // finding the route again must not keep the string either
	c.Route(borrowed[:10], borrowed[10:], nil, nil)
	copy(buffer, "xxxxxxxxxxxxx")
	if _, ok := c.routes[routeKey{"amq.direct", "key"}]; !ok {
		t.Errorf("kept %v", c.routes)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	f := newFixture(t)
	f.queue("q")
	f.exchange("x", topology.Fanout, nil)
	f.link("x", "amq.topic", "")
	ctx, cancel := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			c := NewCache(f.table, "/")
			for ctx.Err() == nil {
				if ids := c.Route("x", "a.b", nil, nil).Queues; len(ids) > 1 {
					t.Errorf("%d queues", len(ids))
				}
				f.table.Route("/", "amq.topic", "a.b", nil, nil)
			}
		})
	}
	for range 2000 {
		f.bind("amq.topic", "q", "a.#", nil)
		f.unbind("amq.topic", "q", "a.#", nil)
	}
	cancel()
	readers.Wait()
}
