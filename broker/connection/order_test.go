package connection_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// C5, H19, Q3: whatever a client does with limits, pauses, cancels and requeues, every
// message comes, first deliveries come in order, and one comes again only when it
// was requeued.
func TestC5OrderUnderRandomClients(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *conntest.Broker, _ *connection.Listener, c *conntest.Client) {
				r := &randomClient{t: t, b: b, c: c, rng: rand.New(rand.NewPCG(seed, 1)), next: make(map[string]int), requeued: make(map[string][]int)}
				r.run()
			})
		})
	}
}

// taken is a delivery that the client has not answered.
type taken struct {
	tag         uint64
	queue       string
	n           int
	redelivered bool
}

type randomClient struct {
	t   *testing.T
	b   *conntest.Broker
	c   *conntest.Client
	rng *rand.Rand

	open     []taken
	next     map[string]int   // number of the next first delivery
	requeued map[string][]int // by the client, not back yet
	limit    int
	paused   bool
	done     int

	mu   sync.Mutex
	come []taken
}

var randomQueues = []string{"a", "b", "c"}

const randomMessages = 200 // a queue

func (r *randomClient) run() {
	for _, name := range randomQueues {
		r.c.Declare(1, &wire.QueueDeclare{Queue: name})
		fill(r.c, 1, name, 0, randomMessages)
	}
	go r.read()
	r.c.Send(1, &wire.BasicQos{PrefetchCount: uint16(r.rng.IntN(6))})
	r.share()
	for _, name := range randomQueues {
		r.c.Send(1, &wire.BasicConsume{Queue: name, ConsumerTag: name})
	}
	for r.done < randomMessages*len(randomQueues) {
		synctest.Wait()
		r.take()
		switch {
		case len(r.open) > 0:
			r.act()
		case r.paused:
			r.pause()
		default:
			r.t.Fatalf("stuck after %d messages, limit %d", r.done, r.limit)
		}
	}
	synctest.Wait()
	for _, name := range randomQueues {
		if held := r.b.Held("/", name); held != 0 {
			r.t.Errorf("%d of %s held", held, name)
		}
	}
}

// read gathers deliveries until the connection ends.
func (r *randomClient) read() {
	var d *wire.BasicDeliver
	for {
		f, err := r.c.Frame()
		if err != nil {
			return
		}
		switch f.Type {
		case wire.FrameMethod:
			m, err := wire.ParseMethod(f.Payload)
			if err != nil {
				return
			}
			d, _ = m.(*wire.BasicDeliver)
		case wire.FrameBody:
			n, _ := strconv.Atoi(string(f.Payload))
			r.mu.Lock()
			r.come = append(r.come, taken{d.DeliveryTag, d.ConsumerTag, n, d.Redelivered})
			r.mu.Unlock()
		}
	}
}

// take checks what has come.
func (r *randomClient) take() {
	r.mu.Lock()
	come := r.come
	r.come = nil
	r.mu.Unlock()
	for _, d := range come {
		i := slices.Index(r.requeued[d.queue], d.n)
		switch {
		case !d.redelivered && d.n != r.next[d.queue]:
			r.t.Fatalf("%s: first delivery of %d, want %d", d.queue, d.n, r.next[d.queue])
		case !d.redelivered:
			r.next[d.queue]++
		case i < 0:
			r.t.Fatalf("%s: %d comes again without being requeued", d.queue, d.n)
		default:
			r.requeued[d.queue] = slices.Delete(r.requeued[d.queue], i, i+1)
		}
		r.open = append(r.open, d)
	}
	if len(come) > 0 && r.limit > 0 && len(r.open) > r.limit {
		r.t.Fatalf("%d outstanding, limit %d", len(r.open), r.limit)
	}
}

// act does one thing that a client may do.
func (r *randomClient) act() {
	i := r.rng.IntN(len(r.open))
	d := r.open[i]
	switch op := r.rng.IntN(16); op {
	case 0:
		r.pause()
	case 1:
		r.share()
	case 2, 3:
		r.requeued[d.queue] = append(r.requeued[d.queue], d.n)
		r.c.Send(1, &wire.BasicNack{DeliveryTag: d.tag, Requeue: true})
		r.open = slices.Delete(r.open, i, i+1)
	case 4, 5:
		r.c.Send(1, &wire.BasicAck{DeliveryTag: d.tag, Multiple: true})
		r.done += i + 1
		r.open = r.open[i+1:]
	case 6:
		r.c.Send(1, &wire.BasicCancel{ConsumerTag: d.queue}, &wire.BasicConsume{Queue: d.queue, ConsumerTag: d.queue})
	default:
		r.c.Send(1, &wire.BasicAck{DeliveryTag: d.tag})
		r.open = slices.Delete(r.open, i, i+1)
		r.done++
	}
}

func (r *randomClient) pause() {
	r.paused = !r.paused
	r.c.Send(1, &wire.ChannelFlow{Active: !r.paused})
}

// share changes the prefetch that the consumers share.
func (r *randomClient) share() {
	r.limit = r.rng.IntN(7)
	r.c.Send(1, &wire.BasicQos{PrefetchCount: uint16(r.limit), Global: true})
}
