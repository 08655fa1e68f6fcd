package connection

import (
	"context"
	"sync"

	"github.com/warrenmq/warren/broker/leader"
)

// outbox stands between the writer and everybody who has something for the
// client: the reader with its answers, subscriptions with deliveries, the
// Publisher with confirms. Deliveries are bounded by credit, confirms by what
// is unconfirmed, and the reader waits while its answers are over answerBytesMax.
type outbox struct {
	wake chan struct{} // there is work for a waiting writer
	room chan struct{} // there is room for a waiting reader

	mu          sync.Mutex
	parcels     []parcel
	confirming  []*channel // those with outcomes
	answerBytes int        // of frames in parcels, and of those being written
	idle        bool       // the writer waits
	full        bool       // the reader waits
	ended       bool       // nothing is taken any more
}

// parcel is one thing to send: whole frames, or a delivery.
type parcel struct {
	frames   []byte
	to       *consumer
	tag      uint64
	delivery leader.Delivery
}

// answerBytesMax is how much a client may ask for without reading the answers.
const answerBytesMax = 1 << 20

func newOutbox() outbox {
	return outbox{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// send takes whole frames.
func (o *outbox) send(frames []byte) {
	o.mu.Lock()
	o.put(frames)
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
}

// end takes the last frames of the connection, or none.
func (o *outbox) end(frames []byte) {
	o.mu.Lock()
	o.put(frames)
	o.ended = true
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
}

// abandon drops everything: the socket is gone.
func (o *outbox) abandon() {
	o.mu.Lock()
	o.ended = true
	o.parcels, o.confirming, o.answerBytes = nil, nil, 0
	o.mu.Unlock()
	notify(o.room)
}

// put is send for those who hold the mutex.
func (o *outbox) put(frames []byte) {
	if o.ended || len(frames) == 0 {
		return
	}
	o.parcels = append(o.parcels, parcel{frames: frames})
	o.answerBytes += len(frames)
}

// confirm notes what became of publishes on ch.
func (o *outbox) confirm(ch *channel, tags []uint64, ack bool) {
	o.mu.Lock()
	ch.arrived(len(tags))
	if o.ended || ch.shut {
		o.mu.Unlock()
		return
	}
	if ch.outcomes.empty() {
		o.confirming = append(o.confirming, ch)
	}
	spans := &ch.outcomes.acks
	if !ack {
		spans = &ch.outcomes.nacks
	}
	for _, tag := range tags {
		*spans = addTag(*spans, tag)
	}
	wake := o.rouse()
	o.mu.Unlock()
	o.signal(wake)
}

// rouse tells whether the writer has to be woken. The mutex is held.
func (o *outbox) rouse() bool {
	wake := o.idle
	o.idle = false
	return wake
}

func (o *outbox) signal(wake bool) {
	if wake {
		notify(o.wake)
	}
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// awaitRoom blocks the reader while the client does not read its answers.
func (o *outbox) awaitRoom(ctx context.Context) {
	for {
		o.mu.Lock()
		o.full = o.answerBytes > answerBytesMax && !o.ended
		full := o.full
		o.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-o.room:
		case <-ctx.Done():
			return
		}
	}
}

// load is what the writer takes out at once. Confirms go behind the parcels, so
// that the basic.return of a message precedes its confirm.
type load struct {
	parcels  []parcel
	confirms []confirms
	ended    bool
}

type confirms struct {
	ch       *channel
	outcomes outcomes
}

// take empties the outbox into l, whose memory it uses for what comes next. The
// writer has written answerBytes of what it took before.
func (o *outbox) take(l *load, written int) (some bool) {
	clear(l.parcels)
	clear(l.confirms)
	spare := l.parcels[:0]
	l.confirms = l.confirms[:0]

	o.mu.Lock()
	o.answerBytes -= written
	room := o.full && o.answerBytes <= answerBytesMax
	if room {
		o.full = false
	}
	l.parcels, o.parcels = o.parcels, spare
	for _, ch := range o.confirming {
		if !ch.shut {
			l.confirms = append(l.confirms, confirms{ch, ch.outcomes})
		}
		ch.outcomes = outcomes{}
	}
	clear(o.confirming)
	o.confirming = o.confirming[:0]
	l.ended = o.ended
	some = len(l.parcels) > 0 || len(l.confirms) > 0
	o.idle = !some && !o.ended
	o.mu.Unlock()
	if room {
		notify(o.room)
	}
	return some
}

// trim gives back the memory of lists that a busy time has left.
func (o *outbox) trim(l *load) {
	*l = load{}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.parcels) == 0 {
		o.parcels = nil
	}
}
