package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// pipeline replicates to one follower with more than one request on its way.
type pipeline struct {
	t      *Transport
	id     raft.ServerID
	stream appendStream
	cancel context.CancelFunc
	closed context.Context // ends with Close or the transport
	sent   chan *appendPart
	ready  chan raft.AppendFuture
}

// appendPart is one request on the wire; the last part of a future completes it.
type appendPart struct {
	future  *appendFuture
	request *raft.AppendEntriesRequest
	sent    time.Time
	last    bool
}

// pipelineLag is how many entries a follower may be behind and still be sent to
// in a pipeline: what Raft sends in one request. In a pipeline it sends no more
// than that for each proposal, so a follower far behind would never catch up.
const pipelineLag = 64

// AppendEntriesPipeline opens a stream to a follower that is in step.
func (t *Transport) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	if r := t.raft.Load(); r != nil && t.Progress(string(id)).LastIndex+pipelineLag < r.LastIndex() {
		t.prompt()
		return nil, raft.ErrPipelineReplicationNotSupported
	}
	stream, cancel, err := t.openAppend(id)
	if err != nil {
		return nil, fmt.Errorf("open pipeline to %s: %w", id, err)
	}
	p := &pipeline{
		t: t, id: id, stream: stream, cancel: cancel, closed: stream.Context(),
		// One request is taken out before its answer is waited for, and one more is
		// sent before it finds room: hence two less.
		sent:  make(chan *appendPart, max(t.all.cfg.InFlight-2, 0)),
		ready: make(chan raft.AppendFuture, t.all.cfg.InFlight),
	}
	go p.receive() // ends with the stream
	return p, nil
}

// AppendEntries sends a request; it blocks while too many are unanswered.
func (p *pipeline) AppendEntries(r *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	f := &appendFuture{start: time.Now(), request: r, response: resp, done: make(chan struct{})}
	parts := splitAppend(r)
	for i, part := range parts {
		sent := time.Now()
		if err := sendAppend(p.stream, part); err != nil {
			return nil, fmt.Errorf("append to %s: %w", p.id, err)
		}
		select {
		case p.sent <- &appendPart{future: f, request: part, sent: sent, last: i == len(parts)-1}:
		case <-p.closed.Done():
			return nil, fmt.Errorf("append to %s: %w", p.id, p.closed.Err())
		}
	}
	return f, nil
}

// receive completes requests in order. hashicorp/raft takes a future whose
// request failed for a refusal and leaves the pipeline, which is right.
func (p *pipeline) receive() {
	defer p.cancel()
	for {
		var part *appendPart
		select {
		case part = <-p.sent:
		case <-p.closed.Done():
			return
		}
		answer, err := p.stream.Recv()
		if err == nil {
			err = p.t.fill(p.id, part.request, part.sent, answer, part.future.response)
		}
		if err == nil && part.future.response.Success && !part.last {
			continue
		}
		if !part.future.complete(err) {
			continue // a part after one that was refused
		}
		select {
		case p.ready <- part.future:
		case <-p.closed.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// Consumer gives the completed requests in order.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.ready }

// Close ends the stream.
func (p *pipeline) Close() error {
	p.cancel()
	return nil
}

// appendFuture is a raft.AppendFuture.
type appendFuture struct {
	start    time.Time
	request  *raft.AppendEntriesRequest
	response *raft.AppendEntriesResponse
	once     sync.Once
	done     chan struct{}
	err      error
}

// complete says whether it was the first to.
func (f *appendFuture) complete(err error) (first bool) {
	f.once.Do(func() {
		first = true
		f.err = err
		close(f.done)
	})
	return first
}

func (f *appendFuture) Error() error {
	<-f.done
	return f.err
}

func (f *appendFuture) Start() time.Time                      { return f.start }
func (f *appendFuture) Request() *raft.AppendEntriesRequest   { return f.request }
func (f *appendFuture) Response() *raft.AppendEntriesResponse { return f.response }
