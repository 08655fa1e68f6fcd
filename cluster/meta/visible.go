package meta

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "github.com/warrenmq/warren/proto"
)

var errSilent = errors.New("a node did not answer in time")

// visibility knows what other nodes have applied. However many wait for a node,
// one question to it is under way.
type visibility struct {
	timeout   time.Duration
	conns     Conns
	questions chan question

	mu    sync.Mutex
	nodes map[process]*remote
}

// process is a node's process: a restarted one may have applied less.
type process struct {
	id    string
	epoch uint64
}

// question asks a node to say when it has applied the index.
type question struct {
	id     string
	remote *remote
	index  uint64
}

type remote struct {
	mu      sync.Mutex
	applied uint64
	want    uint64
	asking  bool
	silent  bool          // did not answer in time: not waited for until it does
	news    chan struct{} // closed and replaced when an answer came
}

func newVisibility(conns Conns, timeout time.Duration) *visibility {
	return &visibility{timeout: timeout, conns: conns, questions: make(chan question), nodes: make(map[process]*remote)}
}

// await returns when all of them have applied the index. One that does not answer
// in time is not waited for, then or later, until it has answered again.
func (v *visibility) await(ctx context.Context, index uint64, all []process) {
	ctx, cancel := context.WithTimeoutCause(ctx, v.timeout, errSilent)
	defer cancel()
	remotes := v.remotes(all)
	for i, r := range remotes {
		v.ask(ctx, all[i].id, r, index) // all at once
	}
	for i, r := range remotes {
		for !r.seen(index) {
			r.mu.Lock()
			news := r.news
			r.mu.Unlock()
			if r.seen(index) {
				break
			}
			v.ask(ctx, all[i].id, r, index)
			select {
			case <-news:
			case <-ctx.Done():
				if context.Cause(ctx) != errSilent {
					return // the caller's own end says nothing of the node
				}
				r.mu.Lock()
				r.silent = r.silent || r.applied < index
				r.mu.Unlock()
			}
		}
	}
}

// remotes finds the records of the processes and drops those of earlier ones.
func (v *visibility) remotes(all []process) []*remote {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := make([]*remote, len(all))
	for i, p := range all {
		r := v.nodes[p]
		if r == nil {
			r = &remote{news: make(chan struct{})}
			for old := range v.nodes {
				if old.id == p.id {
					delete(v.nodes, old)
				}
			}
			v.nodes[p] = r
		}
		list[i] = r
	}
	return list
}

// seen reports whether there is nothing to wait for.
func (r *remote) seen(index uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent || r.applied >= index
}

// ask sees to it that a question for the index, or a later one, is under way.
func (v *visibility) ask(ctx context.Context, id string, r *remote, index uint64) {
	r.mu.Lock()
	r.want = max(r.want, index)
	if r.asking || r.applied >= index {
		r.mu.Unlock()
		return
	}
	r.asking = true
	q := question{id, r, r.want}
	r.mu.Unlock()
	select {
	case v.questions <- q:
	case <-ctx.Done():
		r.answer(q, 0, ctx.Err())
	}
}

// run puts the questions, which many may wait for, until ctx ends.
func (v *visibility) run(ctx context.Context) {
	var asks sync.WaitGroup
	defer asks.Wait()
	for {
		select {
		case q := <-v.questions:
			asks.Go(func() { v.put(ctx, q) })
		case <-ctx.Done():
			return
		}
	}
}

func (v *visibility) put(ctx context.Context, q question) {
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	applied, err := awaitApplied(ctx, v.conns, q.id, q.index)
	if err != nil {
		pause(ctx, retryPause)
	}
	q.remote.answer(q, applied, err)
}

func (r *remote) answer(q question, applied uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking = false
	if err == nil {
		r.applied = max(r.applied, applied)
		r.silent = r.silent && applied < q.index
	}
	close(r.news)
	r.news = make(chan struct{})
}

func awaitApplied(ctx context.Context, conns Conns, id string, index uint64) (uint64, error) {
	conn, err := conns.Conn(id)
	if err != nil {
		return 0, err
	}
	resp, err := pb.NewMetaClient(conn).AwaitApplied(ctx, &pb.MetaAwaitAppliedRequest{Index: index})
	return resp.GetApplied(), err
}
