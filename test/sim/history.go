package sim

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// settleTime is what the cluster may take, when nothing is broken, to commit an
// acknowledgement.
const settleTime = 2 * time.Second

// History is what clients did and were told, and the first judge of it. Its
// methods may be called from any goroutine.
type History struct {
	c *Cluster

	mu         sync.Mutex
	messages   map[string]*message
	channels   int
	subs       int
	deliveries []delivery
	islands    []island
	broken     int       // faults under way
	calm       time.Time // since when nothing has been broken; meaningless while something is
	unrest     time.Time // when something broke last
	crowd      time.Time // when two things were broken at once last
	stolen     []theft
	cutOff     map[*Machine]time.Time // until when a machine may not have been reached by all others
	confirmed  int
}

// message is one publish. Its id is its body's first word.
type message struct {
	id        string
	channel   int // of the publisher: no two connections have the same
	n         int // in its channel
	queues    []string
	machine   *Machine
	sent      time.Time
	confirmed time.Time
	refused   bool
	copies    map[string]*messageCopy // by queue
}

// messageCopy is what became of a message in one queue.
type messageCopy struct {
	times   int // it was delivered
	fresh   int // without the redelivered flag
	ackedAt time.Time
	ackedBy *Client
	holder  *Client // has it, unanswered
}

// theft is a delivery of what another consumer held.
type theft struct {
	at    time.Time
	queue string
	m     *message
	from  *Client
}

// delivery is one message at one consumer.
type delivery struct {
	at          time.Time
	queue       string
	sub         int
	m           *message
	redelivered bool
}

// island is a machine that cannot reach a majority, and until when.
type island struct {
	machine  *Machine
	from, to time.Time // to: zero while it lasts
}

func newHistory(c *Cluster) *History {
	return &History{c: c, messages: make(map[string]*message), calm: time.Now(), cutOff: make(map[*Machine]time.Time)}
}

func (h *History) newChannel() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.channels++
	return h.channels
}

func (h *History) newSub() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs++
	return h.subs
}

// publishing notes a message that is about to be sent, and gives its body.
func (h *History) publishing(channel, n int, m *Machine, queues []string, padding int) (*message, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	msg := &message{
		id: fmt.Sprintf("c%d-%d", channel, n), channel: channel, n: n, queues: queues, machine: m, sent: time.Now(),
		copies: make(map[string]*messageCopy, len(queues)),
	}
	for _, q := range queues {
		msg.copies[q] = &messageCopy{}
	}
	h.messages[msg.id] = msg
	return msg, msg.id + " " + strings.Repeat(msg.id, padding/len(msg.id))
}

// confirm notes a confirm. Nobody may get one from a node without a majority.
func (h *History) confirm(m *message, ack bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ack {
		m.refused = true
		return
	}
	if !m.confirmed.IsZero() {
		h.c.failure("%s is confirmed twice", m.id)
	}
	m.confirmed = time.Now()
	h.confirmed++
	for _, i := range h.islands {
		if i.machine == m.machine && i.to.IsZero() && m.sent.After(i.from) {
			h.c.failure("%s, published through %s %v after it was cut off from the others, is confirmed", m.id, i.machine.Name, m.sent.Sub(i.from))
		}
	}
}

// deliver notes a delivery and finds its message. nil: there is no such message.
func (h *History) deliver(queue string, sub int, to *Client, body string, redelivered bool) *message {
	id, padding, _ := strings.Cut(body, " ")
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.messages[id]
	if m == nil || m.copies[queue] == nil {
		h.c.failure("queue %s delivers what was never published to it: %.60q", queue, body)
		return nil
	}
	if strings.ReplaceAll(padding, id, "") != "" {
		h.c.failure("queue %s delivers %s with another body: %.60q", queue, id, body)
	}
	h.deliveries = append(h.deliveries, delivery{time.Now(), queue, sub, m, redelivered})
	k := m.copies[queue]
	k.times++
	if !redelivered {
		if k.fresh++; k.fresh > 1 {
			h.c.failure("queue %s delivers %s a second time without the redelivered flag", queue, id)
		}
	}
	if !k.ackedAt.IsZero() && h.settled(k) {
		h.c.failure("queue %s delivers %s again, %v after it was acknowledged on a living connection", queue, id, time.Since(k.ackedAt))
	}
	if from := k.holder; from != nil && from != to && !from.server.dead.Load() && time.Now().After(h.cutOff[from.server.machine]) {
		h.stolen = append(h.stolen, theft{time.Now(), queue, m, from})
	}
	k.holder = to
	return m
}

// returned notes that a delivery is about to be given back.
func (h *History) returned(queue string, m *message, by *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := m.copies[queue]; k.holder == by {
		k.holder = nil
	}
}

// unreached notes that others may not reach a machine; over is called when they do.
func (h *History) unreached(ms ...*Machine) (over func()) {
	set := func(until time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, m := range ms {
			h.cutOff[m] = until
		}
	}
	set(time.Now().Add(time.Hour))
	return func() { set(time.Now().Add(recoveryTime)) }
}

// reached tells whether all others can reach a machine, and could lately.
func (h *History) reached(m *Machine) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().After(h.cutOff[m])
}

// judgeThefts looks for messages that were delivered to one consumer while another
// one held them, whose connection stood on.
func (h *History) judgeThefts() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stolen {
		select {
		case <-s.from.ended:
			if s.from.endedAt.Before(s.at.Add(100 * time.Millisecond)) {
				continue
			}
		default:
		}
		h.c.failure("queue %s delivers %s to another consumer while one at %s holds it", s.queue, s.m.id, s.from.server.machine.Name)
	}
}

// ack notes that a delivery is about to be acknowledged.
func (h *History) ack(queue string, m *message, by *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := m.copies[queue]
	if k.holder == by {
		k.holder = nil
	}
	if k.ackedAt.IsZero() || !h.settled(k) {
		k.ackedAt, k.ackedBy = time.Now(), by
	}
}

// settled tells whether an acknowledgement must have been committed: nothing was
// broken for a while after it, and neither was its connection. The caller holds mu.
func (h *History) settled(k *messageCopy) bool {
	deadline := k.ackedAt.Add(settleTime)
	if time.Now().Before(deadline) || k.ackedAt.Before(h.calm) || h.broken > 0 && h.unrest.Before(deadline) {
		return false
	}
	select {
	case <-k.ackedBy.ended:
		return k.ackedBy.endedAt.After(deadline)
	default:
		return true
	}
}

// trouble notes that something is broken; over is called when it is whole again.
func (h *History) trouble() (over func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken++; h.broken == 1 {
		h.unrest = time.Now()
	} else {
		h.crowd = time.Now()
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.broken--; h.broken > 0 {
			h.crowd = time.Now()
		}
		h.calm = time.Now().Add(recoveryTime)
	}
}

// calmNow tells whether nothing is broken, nor was lately.
func (h *History) calmNow() bool { return h.calmSince(time.Now()) }

// calmSince tells whether nothing has been broken from at on.
func (h *History) calmSince(at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken == 0 && !h.calm.After(at)
}

// aloneSince tells whether at most one thing has been broken at a time from at on.
func (h *History) aloneSince(at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broken <= 1 && h.crowd.Before(at)
}

// recoveryTime is how long after a fault the cluster may still be busy with it.
const recoveryTime = 8 * time.Second

// isolated notes that a machine reaches no majority; over is called before it does again.
func (h *History) isolated(m *Machine) (over func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.islands)
	h.islands = append(h.islands, island{machine: m, from: time.Now()})
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.islands[n].to = time.Now()
	}
}

// counts says how much happened.
func (h *History) counts() (published, confirmed, deliveries int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.messages), h.confirmed, len(h.deliveries)
}
