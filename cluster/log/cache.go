package log

import (
	"sync"

	"github.com/hashicorp/raft"
)

// entryCost is what an entry costs beside its bytes: slot and map.
const entryCost = 192

// cache holds entries up to a number of bytes; the one that came first goes first.
type cache struct {
	budget int64

	mu    sync.Mutex
	used  int64
	slots map[cacheKey]uint64 // number of the slot; slots are numbered as they come
	ring  []slot              // a power of two; slot n is at n & (len-1)
	head  uint64              // oldest
	tail  uint64              // next
}

type cacheKey struct {
	group, index uint64
	adopted      bool
}

type slot struct {
	key  cacheKey
	log  raft.Log
	cost int64 // 0: removed
}

func newCache(budget int64) *cache {
	return &cache{budget: budget, slots: map[cacheKey]uint64{}, ring: make([]slot, 64)}
}

func (c *cache) get(key cacheKey) (raft.Log, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.slots[key]
	if !ok {
		return raft.Log{}, false
	}
	return c.at(n).log, true
}

// add takes entries over without copying their bytes.
func (c *cache) add(group uint64, adopted bool, logs ...*raft.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range logs {
		cost := int64(entryCost + len(e.Data) + len(e.Extensions))
		if cost > c.budget {
			continue
		}
		key := cacheKey{group, e.Index, adopted}
		c.dropLocked(key)
		for c.used+cost > c.budget {
			c.evictLocked()
		}
		if c.tail-c.head == uint64(len(c.ring)) {
			c.growLocked()
		}
		*c.at(c.tail) = slot{key: key, log: *e, cost: cost}
		c.slots[key] = c.tail
		c.used += cost
		c.tail++
	}
}

// remove forgets the entries first to last of a group.
func (c *cache) remove(group uint64, adopted bool, first, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last-first < uint64(len(c.slots)) {
		for i := first; i <= last; i++ {
			c.dropLocked(cacheKey{group, i, adopted})
		}
		return
	}
	for key := range c.slots {
		if key.group == group && key.adopted == adopted && key.index >= first && key.index <= last {
			c.dropLocked(key)
		}
	}
}

func (c *cache) bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

func (c *cache) at(n uint64) *slot { return &c.ring[n&uint64(len(c.ring)-1)] }

func (c *cache) dropLocked(key cacheKey) {
	n, ok := c.slots[key]
	if !ok {
		return
	}
	c.used -= c.at(n).cost
	*c.at(n) = slot{}
	delete(c.slots, key)
}

// evictLocked frees the oldest slot, which may be one that was removed.
func (c *cache) evictLocked() {
	s := c.at(c.head)
	if s.cost > 0 {
		c.used -= s.cost
		delete(c.slots, s.key)
	}
	*s = slot{}
	c.head++
}

// growLocked makes room for one more: twice the slots, unless half of them are removed ones.
func (c *cache) growLocked() {
	size := len(c.ring)
	if len(c.slots) > size/2 {
		size *= 2
	}
	ring, count := make([]slot, size), uint64(0)
	for n := c.head; n < c.tail; n++ {
		if s := c.at(n); s.cost > 0 {
			ring[count] = *s
			c.slots[s.key] = count
			count++
		}
	}
	c.ring, c.head, c.tail = ring, 0, count
}
