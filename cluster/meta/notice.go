package meta

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	noticeAttempts = 8 // of one follower that has not stored the entry yet
	noticePause    = 2 * time.Millisecond
)

// notifier tells followers at once that an entry is committed: a declare is seen
// by all nodes a round trip after its commit, not a CommitTimeout later.
//
// It sends AppendEntries{Prev: the entry, no entries, LeaderCommit: the entry} in
// the term of that entry. Why that is a message Raft might have sent itself:
//
//   - Only the leader of a term appends entries of that term, and the entry names
//     this node as its proposer: so this node was the leader of the term. If it is
//     no longer, the message is a late one of that leader, which a follower of a
//     newer term refuses, as Raft has it.
//   - A follower takes it only if its log holds the entry (index and term), so all
//     before it equals the leader's, too. It then commits up to
//     min(LeaderCommit, its last index), which is the entry itself, whatever it has
//     behind it. hashicorp/raft does not bound the commit by the entry that was
//     checked, so a notice must never carry a commit index beyond it.
//   - It appends nothing, so the leader's match and next indexes stay true.
type notifier struct {
	self raft.ServerID
	wake chan struct{}

	mu          sync.Mutex
	index, term uint64 // the last entry that this node appended and applied
}

func newNotifier(self string) *notifier {
	return &notifier{self: raft.ServerID(self), wake: make(chan struct{}, 1)}
}

// committed is told of an entry that this node proposed.
func (n *notifier) committed(index, term uint64) {
	n.mu.Lock()
	n.index, n.term = index, term
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) last() (index, term uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.index, n.term
}

func (n *notifier) run(ctx context.Context, r *raft.Raft, trans raft.Transport) {
	var senders sync.WaitGroup
	defer senders.Wait()
	followers := make(map[raft.ServerID]chan struct{}) // one sender each; bounded by the members there ever were
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		if r.State() != raft.Leader {
			continue // only to spare others a message that they would refuse
		}
		conf := r.GetConfiguration()
		if conf.Error() != nil {
			continue
		}
		for _, s := range conf.Configuration().Servers {
			if s.ID == n.self {
				continue
			}
			wake := followers[s.ID]
			if wake == nil {
				wake = make(chan struct{}, 1)
				followers[s.ID] = wake
				senders.Go(func() { n.send(ctx, wake, trans, s) })
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
}

// send keeps one follower informed; notices that pile up become one.
func (n *notifier) send(ctx context.Context, wake <-chan struct{}, trans raft.Transport, to raft.Server) {
	for {
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
		for attempt := range noticeAttempts {
			if n.notify(trans, to) {
				break
			}
			pause(ctx, noticePause<<attempt)
		}
	}
}

// notify reports whether there is no use in trying again: CommitTimeout does the rest.
func (n *notifier) notify(trans raft.Transport, to raft.Server) bool {
	index, term := n.last()
	self := raft.ServerAddress(n.self)
	req := &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax,
			ID:              []byte(n.self),
			Addr:            trans.EncodePeer(n.self, self),
		},
		Term:              term,
		PrevLogEntry:      index,
		PrevLogTerm:       term,
		LeaderCommitIndex: index,
	}
	var resp raft.AppendEntriesResponse
	if err := trans.AppendEntries(to.ID, to.Address, req, &resp); err != nil {
		return true
	}
	return resp.Success || resp.Term > term
}
