package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/warrenmq/warren/proto"
)

const (
	gatherTime   = 250 * time.Millisecond // heartbeats of this long travel together: fewer messages of idle groups; with the 100 to 200 ms that Raft waits, well below a lease
	pingInterval = time.Second            // an idle link is heard of this often
	linkTimeout  = 3 * time.Second        // a link whose beats are not answered is broken
	maxUnheard   = 512                    // batches of beats without an answer
)

var (
	errDown       = errors.New("the link to the peer is down")
	errUnanswered = errors.New("the peer does not answer")
)

// link gathers the heartbeats of all groups towards one peer.
type link struct {
	wake chan struct{} // the first beat waits

	mu      sync.Mutex
	isOpen  bool
	opened  chan struct{} // closed when it next comes up; nil when nobody waits
	cause   error         // why it is not open
	waiting []*beat
	alarms  uint32 // goes with each message
	urgent  bool   // the alarms changed since the last one
	number  uint64
	unheard []beatBatch // sent, in order, not yet answered
}

// beat is a heartbeat of one group.
type beat struct {
	wire pb.RaftBeat
	sent time.Time
	// done is called once, with the answer or with what went wrong, from the
	// link's goroutine; it must not block.
	done func(answer *pb.RaftBeatAnswer, err error)
}

type beatBatch struct {
	number uint64
	sent   time.Time
	beats  []*beat
}

func newLink() *link {
	return &link{wake: make(chan struct{}, 1), cause: errDown}
}

func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isOpen
}

func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isOpen, l.cause = true, nil
	l.urgent = l.alarms != 0
	if l.opened != nil {
		close(l.opened)
		l.opened = nil
	}
}

// comesUp is closed when the link comes up; while it is up, never.
func (l *link) comesUp() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isOpen {
		return nil
	}
	if l.opened == nil {
		l.opened = make(chan struct{})
	}
	return l.opened
}

// down fails all beats under way.
func (l *link) down(cause error) {
	l.mu.Lock()
	l.isOpen, l.cause = false, fmt.Errorf("%w: %w", errDown, cause)
	lost := l.waiting
	for _, batch := range l.unheard {
		lost = append(lost, batch.beats...)
	}
	l.waiting, l.unheard = nil, nil
	cause = l.cause
	l.mu.Unlock()
	for _, b := range lost {
		b.done(nil, cause)
	}
}

// add sends b soon, with the others.
func (l *link) add(b *beat) error {
	l.mu.Lock()
	if !l.isOpen {
		defer l.mu.Unlock()
		return l.cause
	}
	l.waiting = append(l.waiting, b)
	first := len(l.waiting) == 1
	l.mu.Unlock()
	if first {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// tell lets alarms go with this message and all that follow.
func (l *link) tell(alarms uint32) {
	l.mu.Lock()
	l.urgent = l.urgent || alarms != l.alarms
	l.alarms = alarms
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

type linkStream = grpc.BidiStreamingClient[pb.RaftBeats, pb.RaftBeatAnswers]

// run moves beats and answers until the stream breaks, or breaks it when the
// peer is silent.
func (l *link) run(ctx context.Context, cancel context.CancelFunc, stream linkStream, breakConn func()) error {
	var broken error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		broken = l.receive(stream)
	}()
	err := l.send(ctx, stream, ended, breakConn)
	if errors.Is(err, errUnanswered) {
		breakConn()
	}
	cancel()
	<-ended
	if err == nil {
		err = broken
	}
	return err
}

// send is the writing half; nil means that the stream is over and the reading
// half knows why.
func (l *link) send(ctx context.Context, stream linkStream, ended <-chan struct{}, breakConn func()) error {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	gather := time.NewTimer(gatherTime)
	gather.Stop()
	defer gather.Stop()
	stuck := time.AfterFunc(linkTimeout, breakConn)
	stuck.Stop()
	defer stuck.Stop()
	for {
		idle := false
		select {
		case <-l.wake:
			gather.Reset(gatherTime)
			continue
		case <-gather.C:
		case <-ping.C:
			idle = true
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		beats, err := l.take(idle)
		if err != nil {
			return err
		}
		if beats == nil {
			continue
		}
		stuck.Reset(linkTimeout)
		err = stream.Send(beats)
		stuck.Stop()
		if err != nil {
			return nil
		}
	}
}

// take makes the next message of what waits. On an idle link it is an empty
// one, unless an earlier message is still unanswered.
func (l *link) take(idle bool) (*pb.RaftBeats, error) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unheard) > 0 && (now.Sub(l.unheard[0].sent) > linkTimeout || len(l.unheard) >= maxUnheard) {
		return nil, errUnanswered
	}
	if len(l.waiting) == 0 && !l.urgent && (!idle || len(l.unheard) > 0) {
		return nil, nil
	}
	l.number++
	l.urgent = false
	msg := &pb.RaftBeats{Number: l.number, Beats: make([]*pb.RaftBeat, len(l.waiting)), Alarms: l.alarms}
	for i, b := range l.waiting {
		b.sent = now
		msg.Beats[i] = &b.wire
	}
	l.unheard = append(l.unheard, beatBatch{number: l.number, sent: now, beats: l.waiting})
	l.waiting = nil
	return msg, nil
}

func (l *link) receive(stream linkStream) error {
	for {
		answers, err := stream.Recv()
		if err != nil {
			return err
		}
		batch, err := l.answered(answers)
		if err != nil {
			return err
		}
		for i, b := range batch.beats {
			b.done(answers.Answers[i], nil)
		}
	}
}

func (l *link) answered(answers *pb.RaftBeatAnswers) (beatBatch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unheard) == 0 || l.unheard[0].number != answers.Number || len(l.unheard[0].beats) != len(answers.Answers) {
		return beatBatch{}, fmt.Errorf("an answer to beats that were not sent: number %d", answers.Number)
	}
	batch := l.unheard[0]
	l.unheard[0] = beatBatch{}
	l.unheard = l.unheard[1:]
	return batch, nil
}
