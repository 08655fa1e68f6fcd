package meta

import (
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/warrenmq/warren/broker/level"
	pb "github.com/warrenmq/warren/proto"
)

// ledgerKey is beside Raft's own keys in the stable store.
const ledgerKey = "warren-ledger"

// ledger is what a node has bound itself to, before and beside the log: the
// cluster it belongs to, or the candidate that it lets form one. All of it but
// the attempt under way is on disk before anyone hears of it.
//
// Why there is one cluster id, ever: a node forms a cluster only with the promise
// of every other expected node for its current attempt. A node gives no promise
// while it holds one for another, while it is a candidate, or once it belongs to
// a cluster; it is no candidate while it holds a promise. So of two candidates
// whose sets of expected nodes have a node in common, that node stops one. A
// promise is let go only when its candidate itself says that the attempt is over:
// attempts only grow, also over restarts since the epoch is their first part, and
// an attempt that is over never forms anything.
type ledger struct {
	stable raft.StableStore
	epoch  uint64

	turn chan struct{} // held to change anything, also over the write; taken before mu

	mu      sync.Mutex
	kept    *pb.MetaLedger
	attempt uint64 // in this epoch
	running bool   // the attempt is under way, or it succeeded
}

func openLedger(stable raft.StableStore, epoch, known uint64) (*ledger, error) {
	l := &ledger{stable: stable, epoch: epoch, turn: make(chan struct{}, 1), kept: &pb.MetaLedger{}}
	b, err := stable.Get([]byte(ledgerKey))
	switch {
	case err != nil && err.Error() != "not found": // raft.StableStore knows no better sign
		return nil, fmt.Errorf("read the ledger of the meta group: %w", err)
	case len(b) == 0:
		return l, nil
	}
	if err := decode(b, l.kept); err != nil {
		return nil, fmt.Errorf("read the ledger of the meta group: %w", err)
	}
	if err := level.Check("the data folder", l.kept.GetLevel(), known); err != nil {
		return nil, err
	}
	return l, nil
}

// keep writes the next ledger, in a turn; a failed write changes nothing here.
func (l *ledger) keep(next *pb.MetaLedger) error {
	if proto.Equal(next, l.kept) {
		return nil
	}
	b, err := encode(next)
	if err != nil {
		return err
	}
	if err := l.stable.Set([]byte(ledgerKey), b); err != nil {
		return fmt.Errorf("write the ledger of the meta group: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = next
	return nil
}

// take waits for the turn to change the ledger and returns what ends it.
func (l *ledger) take() (give func()) {
	l.turn <- struct{}{}
	return func() { <-l.turn }
}

// setRunning changes the attempt, in a turn.
func (l *ledger) setRunning(attempt uint64, running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempt, l.running = attempt, running
}

func (l *ledger) clusterID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.GetClusterId()
}

// forming reports whether this node forms or formed the cluster itself.
func (l *ledger) forming() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.GetForming()
}

func (l *ledger) promisedTo() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.GetPromisedTo()
}

// status fills in the ledger's part of what the node says of itself.
func (l *ledger) status(s *pb.MetaStatusResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.ClusterId = l.kept.GetClusterId()
	s.Attempt = &pb.MetaAttempt{Epoch: l.epoch, Number: l.attempt}
	s.Candidate = l.running
}

// promise answers a candidate. The promise is on disk when it is granted.
func (l *ledger) promise(candidate string, attempt *pb.MetaAttempt) (*pb.MetaPromiseResponse, error) {
	defer l.take()()
	refused := &pb.MetaPromiseResponse{ClusterId: l.kept.GetClusterId(), PromisedTo: l.kept.GetPromisedTo()}
	switch held := l.kept.GetPromisedTo(); {
	case candidate == "" || l.kept.GetClusterId() != "" || l.running:
		return refused, nil
	case held != "" && (held != candidate || before(attempt, l.kept.GetAttempt())):
		return refused, nil
	}
	if err := l.keep(&pb.MetaLedger{PromisedTo: candidate, Attempt: attempt}); err != nil {
		return nil, err
	}
	return &pb.MetaPromiseResponse{Granted: true}, nil
}

// release lets a promise go when its candidate says that the attempt is over.
func (l *ledger) release(s *pb.MetaStatusResponse) error {
	defer l.take()()
	held := l.kept.GetAttempt()
	if l.kept.GetPromisedTo() == "" || s.GetServerId() != l.kept.GetPromisedTo() || s.GetClusterId() != "" {
		return nil
	}
	over := before(held, s.GetAttempt()) || !before(s.GetAttempt(), held) && !s.GetCandidate()
	if !over {
		return nil
	}
	return l.keep(&pb.MetaLedger{})
}

// try begins an attempt to form a cluster, unless the node is bound otherwise.
func (l *ledger) try() (*pb.MetaAttempt, bool) {
	defer l.take()()
	if l.running || l.kept.GetClusterId() != "" || l.kept.GetPromisedTo() != "" {
		return nil, false
	}
	l.setRunning(l.attempt+1, true)
	return &pb.MetaAttempt{Epoch: l.epoch, Number: l.attempt}, true
}

// stop ends the attempt for good.
func (l *ledger) stop() {
	defer l.take()()
	l.setRunning(l.attempt, false)
}

// form binds the node to the cluster that its running attempt forms.
func (l *ledger) form(clusterID string) error {
	defer l.take()()
	if !l.running || l.kept.GetClusterId() != "" || l.kept.GetPromisedTo() != "" {
		return fmt.Errorf("no attempt to form a cluster is under way")
	}
	return l.keep(&pb.MetaLedger{ClusterId: clusterID, Forming: true})
}

// join binds the node to a cluster that others formed.
func (l *ledger) join(clusterID string) error {
	defer l.take()()
	if have := l.kept.GetClusterId(); have != "" && have != clusterID {
		return fmt.Errorf("node of cluster %s cannot join cluster %s", have, clusterID)
	}
	return l.keep(&pb.MetaLedger{ClusterId: clusterID, Forming: l.kept.GetForming(), Level: l.kept.GetLevel()})
}

// reach notes the cluster's level, so that an older build that is started here ends at once.
func (l *ledger) reach(n uint64) error {
	defer l.take()()
	if n <= max(l.kept.GetLevel(), level.First) {
		return nil
	}
	next := proto.CloneOf(l.kept)
	next.Level = n
	return l.keep(next)
}

func before(a, b *pb.MetaAttempt) bool {
	if a.GetEpoch() != b.GetEpoch() {
		return a.GetEpoch() < b.GetEpoch()
	}
	return a.GetNumber() < b.GetNumber()
}
