package edge

import (
	"slices"
	"sync"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	// dyingPatience is how long a publisher waits for the end of a deletion. The
	// reconciler opens a queue again that is still defined after about as long.
	dyingPatience = 15 * time.Second
	// dyingMost bounds the messages that wait so: what is beyond it is refused.
	dyingMost = 1 << 16
)

// dying are the messages whose queue was being deleted when they came. A queue
// that is sealed took none of them; as in RabbitMQ they are confirmed when it is
// gone. Should it stay, they are refused: nothing is confirmed that is nowhere.
type dying struct {
	mu     sync.Mutex
	queues map[queue.ID][]*bereft
	count  int // of receipts
}

// bereft are messages that wait for the end of the same queues.
type bereft struct {
	receipts []Receipt
	since    time.Time
	left     int // queues that are not gone yet; 0: the receipts were told
}

// put lets b wait for the ends of queues; false when too many wait already.
func (d *dying) put(b *bereft, queues []queue.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count+len(b.receipts) > dyingMost {
		return false
	}
	if d.queues == nil {
		d.queues = make(map[queue.ID][]*bereft)
	}
	b.since, b.left = time.Now(), len(queues)
	d.count += len(b.receipts)
	for _, id := range queues {
		d.queues[id] = append(d.queues[id], b)
	}
	return true
}

// gone ends the waits for a queue that is not defined any more.
func (d *dying) gone(id queue.ID) {
	d.mu.Lock()
	var over []*bereft
	for _, b := range d.queues[id] {
		if b.left == 0 {
			continue // refused for another queue's sake
		}
		if b.left--; b.left == 0 {
			d.count -= len(b.receipts)
			over = append(over, b)
		}
	}
	delete(d.queues, id)
	d.mu.Unlock()
	for _, b := range over {
		complete(b.receipts, nil, nil)
	}
}

// stayed refuses what waits for a queue since before that time.
func (d *dying) stayed(id queue.ID, before time.Time) {
	d.mu.Lock()
	var over []*bereft
	d.queues[id] = slices.DeleteFunc(d.queues[id], func(b *bereft) bool {
		if b.left > 0 && b.since.Before(before) {
			b.left = 0
			d.count -= len(b.receipts)
			over = append(over, b)
		}
		return b.left == 0
	})
	if len(d.queues[id]) == 0 {
		delete(d.queues, id)
	}
	d.mu.Unlock()
	for _, b := range over {
		complete(b.receipts, nil, ErrRefused)
	}
}

func (d *dying) list() (ids []queue.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.queues {
		ids = append(ids, id)
	}
	return ids
}

// attendDying looks whether queues that were being deleted are gone, or stay.
func (e *Edge) attendDying() {
	for _, id := range e.dying.list() {
		if _, defined := e.cfg.Locate(id); !defined {
			e.dying.gone(id)
			continue
		}
		e.dying.stayed(id, time.Now().Add(-dyingPatience))
	}
}

// await takes the receipts of a batch's messages out of it that sealed queues did
// not take, to be told when those are gone. refused are arrival numbers, ascending.
func (e *Edge) await(f *flight, sealed []queue.ID, refused []int) {
	commands, err := queue.Decode(f.batch)
	if err != nil {
		panic("edge: an applied batch cannot be read: " + err.Error())
	}
	for _, s := range commands[0].(queue.Publish).Sections {
		to := slices.DeleteFunc(slices.Clone(s.Queues), func(id queue.ID) bool { return !slices.Contains(sealed, id) })
		if len(to) == 0 {
			continue
		}
		b := &bereft{}
		for ordinal := s.First; ordinal < s.First+s.Count; ordinal++ {
			arrival := f.arrived(ordinal)
			if _, refused := slices.BinarySearch(refused, arrival); refused || f.receipts[arrival].Confirms == nil {
				continue
			}
			b.receipts = append(b.receipts, f.receipts[arrival])
			f.receipts[arrival].Confirms = nil
		}
		e.bereave(b, to)
	}
}

func (e *Edge) bereave(b *bereft, queues []queue.ID) {
	if len(b.receipts) == 0 {
		return
	}
	if !e.dying.put(b, queues) {
		complete(b.receipts, nil, ErrRefused)
		return
	}
	for _, id := range queues { // Forget may have come before
		if _, defined := e.cfg.Locate(id); !defined {
			e.dying.gone(id)
		}
	}
}
