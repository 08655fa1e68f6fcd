package connection

import "slices"

// pool is the consumers of a channel at one queue. Under the channel's common limit
// one of them at a time has message credit at the queue's leader, until it is used
// up: so no more is handed out than may be sent, and the channel gets the messages
// in the queue's order. Where the leader serves only one of them anyhow, as with
// single active consumers, each has a pool to itself: credit must not wait with
// another. Guarded by the outbox.
type pool struct {
	ch      *channel
	key     string
	members []*consumer
	turn    int // of members: whose it is next
}

// enter puts k into the pool of its queue.
func (ch *channel) enter(k *consumer, alone bool) {
	key := k.queue
	if alone {
		key += "\x00" + k.tag
	}
	p := ch.pools[key]
	if p == nil {
		p = &pool{ch: ch, key: key}
		ch.pools[key] = p
	}
	p.members = append(p.members, k)
	k.pool = p
}

// leave takes k out.
func (p *pool) leave(k *consumer) {
	i := slices.Index(p.members, k)
	p.members = slices.Delete(p.members, i, i+1)
	if p.turn > i {
		p.turn--
	}
	if len(p.members) == 0 {
		delete(p.ch.pools, p.key)
	}
}

// idle tells whether nobody in the pool has credit, nor messages on their way back,
// which come first.
func (p *pool) idle() bool {
	return !slices.ContainsFunc(p.members, func(k *consumer) bool { return k.granted > 0 || k.returns > 0 })
}

// free is how much of the channel's limit is for this pool: all that is free, or
// among several queues a share by their consumers, but at least one: who has messages
// uses it, the others' come back unseen at worst.
func (p *pool) free() int {
	limit := p.ch.limit
	free := max(limit-p.ch.limited, 0)
	if p.ch.counted > len(p.members) && free > 0 {
		free = max(min(free, limit*len(p.members)/p.ch.counted), 1)
	}
	return free
}

// topUp gives what is free to whose turn it is, among those of the highest priority
// that may have more.
func (p *pool) topUp() grant {
	free := p.free()
	if free == 0 || !p.idle() {
		return grant{}
	}
	var next *consumer
	at := 0
	for i := range p.members {
		j := (p.turn + i) % len(p.members)
		if k := p.members[j]; k.sub != nil && k.room() > 0 && (next == nil || k.priority > next.priority) {
			next, at = k, j
		}
	}
	if next == nil {
		return grant{}
	}
	p.turn = (at + 1) % len(p.members)
	next.refusing = false
	more := min(free, next.room()) - next.granted
	next.granted += more
	return grant{next, more}
}
