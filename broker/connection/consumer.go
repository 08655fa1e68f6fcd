package connection

import (
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// holder is a subscription that holds deliveries for a channel: a consumer's, or
// that of one basic.get.
type holder struct {
	ch       *channel
	sub      Subscription
	consumer *consumer // nil: of basic.get
	timeout  int64     // for an answer, in milliseconds; 0: none

	// Guarded by the outbox.
	outstanding int  // deliveries that the client has not answered
	over        bool // no further ones come: to be released after the last answer

	// The reader's: answers on their way to sub.
	answer leader.Answer
	ranges []queue.Range
	listed bool // in conn.settling
}

// consumer is one basic.consume.
type consumer struct {
	holder
	tag      string
	queue    string // its name
	id       queue.ID
	noAck    bool
	prefetch int
	counts   bool  // redelivered messages say how often they came
	stream   bool  // messages say where in the stream they are
	window   int64 // byte credit
	priority int32

	exclusive bool
	arguments map[string]any // as the client sent them; not to be changed

	written int64 // the writer's: bytes that were sent and not given back as credit

	// Guarded by the outbox.
	pool     *pool             // nil without acknowledgements, and at streams: no common limit is for it
	granted  int               // message credit that the queue's leader has
	waiting  []leader.Delivery // came before consume-ok, or, without a pool, while the channel is paused
	started  bool              // consume-ok is sent
	returns  int               // calls of Deliver that are handing back messages
	refusing bool              // hands all back until no credit is left, to keep the order
	lost     bool              // Cancelled was called
	timedOut bool              // cancelled because it did not answer
}

// openCredit is the message credit of a consumer without prefetch; bytes bound it, too.
const openCredit = 2048

// unackedMax is how many deliveries a consumer without prefetch may leave unacknowledged.
const unackedMax = 1 << 20

// Deliver sends messages to the client, as far as the limits of its channel
// allow; the others go back unseen.
func (k *consumer) Deliver(ds []leader.Delivery) {
	o := k.ch.out
	var unseen []queue.Range
	var bytes int64
	now := k.ch.c.clock()
	o.mu.Lock()
	if o.ended || k.ch.shut {
		o.mu.Unlock()
		return // the subscription is being released, which requeues them
	}
	for i := range ds {
		switch {
		case k.over && (k.noAck || k.sub == nil): // the end of the subscription is under way
		case k.over || k.refusing || k.full() && len(k.waiting) == 0 && k.flowing():
			unseen = addSeq(unseen, ds[i].Seq)
			bytes += ds[i].Cost()
			k.granted--
			k.refusing = true
		case k.ch.paused && k.started && k.pool != nil && len(k.waiting) == 0:
			unseen = addSeq(unseen, ds[i].Seq)
			bytes += ds[i].Cost()
			k.granted--
		case !k.flowing() || len(k.waiting) > 0:
			k.waiting = append(k.waiting, ds[i])
		default:
			k.put(&ds[i], now)
		}
	}
	if unseen != nil {
		k.returns++
	}
	more := k.topUp()
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	if unseen != nil {
		k.sub.Settle(leader.Unseen, unseen)
		o.mu.Lock()
		k.returns--
		more = k.topUp() // nothing before: these come first
		o.mu.Unlock()
	}
	k.credit(more, bytes)
}

// flowing tells whether deliveries may be sent now. The outbox is locked, as in
// all that follows.
func (k *consumer) flowing() bool { return k.started && !k.ch.paused }

// full tells whether the channel's common prefetch is used up.
func (k *consumer) full() bool {
	return k.pool != nil && k.ch.limit > 0 && k.ch.limited >= k.ch.limit
}

// put gives a delivery its tag and hands it to the writer.
func (k *consumer) put(d *leader.Delivery, now int64) {
	ch := k.ch
	ch.tag++
	if !k.noAck {
		k.granted--
		k.outstanding++
		if k.pool != nil {
			ch.limited++
		}
		ch.unacked.add(ch.tag, d.Seq, &k.holder, now)
		if k.timeout > 0 {
			ch.c.expect(now, now+k.timeout)
		}
	}
	ch.out.parcels = append(ch.out.parcels, parcel{to: k, tag: ch.tag, delivery: *d})
}

// flush sends what waited. What the limits do not allow is for channel.handBack.
func (k *consumer) flush() (unseen []queue.Range, bytes int64) {
	if !k.flowing() {
		return nil, 0
	}
	now := k.ch.c.clock()
	for i := range k.waiting {
		d := &k.waiting[i]
		if k.refusing || k.full() {
			unseen = addSeq(unseen, d.Seq)
			bytes += d.Cost()
			k.granted--
			k.refusing = true
			continue
		}
		k.put(d, now)
	}
	k.waiting = nil
	if unseen != nil {
		k.returns++
	}
	return unseen, bytes
}

// room is how much message credit the queue's leader may have, but for the channel's limit.
func (k *consumer) room() int {
	if k.prefetch > 0 {
		return k.prefetch - k.outstanding
	}
	return min(openCredit, unackedMax-k.outstanding)
}

// target is how much it is to have, when k is alone in its pool.
func (k *consumer) target() int {
	if k.pool != nil && k.ch.limit > 0 {
		return min(k.room(), k.pool.free())
	}
	return k.room()
}

// topUp grants the message credit that is missing, which the caller passes on: to k,
// or to another with which it shares the channel's limit. Messages on their way back
// come first: the queue's order depends on it.
func (k *consumer) topUp() grant {
	if k.noAck || k.over {
		return grant{}
	}
	if k.pool != nil && k.ch.limit > 0 && len(k.pool.members) > 1 {
		return k.pool.topUp()
	}
	if k.sub == nil || k.returns > 0 || k.refusing && k.granted > 0 {
		return grant{}
	}
	k.refusing = false
	want := k.target()
	more := want - k.granted
	if more <= 0 || want == openCredit && more < openCredit/2 {
		return grant{}
	}
	k.granted += more
	return grant{k, more}
}

// credit passes on what topUp granted, and byte credit of k's own.
func (k *consumer) credit(g grant, bytes int64) {
	messages := 0
	switch {
	case g.to == k:
		messages = g.messages
	case g.to != nil:
		g.to.sub.Credit(g.messages, 0)
	}
	if messages != 0 || bytes != 0 {
		k.sub.Credit(messages, bytes)
	}
}

// Cancelled ends the consumer from the broker's side.
func (k *consumer) Cancelled(err error) {
	ch, o := k.ch, k.ch.out
	o.mu.Lock()
	if o.ended || ch.shut || k.over {
		o.mu.Unlock()
		return
	}
	k.lost = true
	var grants []grant
	if k.started {
		k.end()
		k.tell()
		grants = k.inherit()
	}
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
	for _, g := range grants {
		g.to.sub.Credit(g.messages, 0)
	}
}

// inherit grants the credit that k had to those with which it shared a limit.
func (k *consumer) inherit() (grants []grant) {
	if k.pool == nil || k.ch.limit == 0 {
		return nil
	}
	for _, other := range k.pool.members {
		if g := other.topUp(); g.to != nil {
			grants = append(grants, g)
		}
	}
	return grants
}

// end takes the consumer off its channel; what is outstanding stays.
func (k *consumer) end() {
	k.over = true
	k.waiting = nil
	delete(k.ch.consumers, k.tag)
	delete(k.ch.c.consuming, k)
	if k.pool != nil {
		k.ch.counted--
		k.pool.leave(k)
	}
}

// tell sends the consumer cancel notification to a client that understands it (H12).
func (k *consumer) tell() {
	if k.ch.c.cancelNotify {
		k.ch.out.put(wire.AppendMethodFrame(nil, k.ch.id, &wire.BasicCancel{ConsumerTag: k.tag, NoWait: true}))
	}
}
