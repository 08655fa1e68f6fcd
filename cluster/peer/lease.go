package peer

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// lease knows until when this node may act as leader without asking: followers
// that answered a request keep from electing another for a while, counted from
// when the request was sent. All times are monotonic, so a process that was
// stopped wakes up without a lease.
type lease struct {
	mu    sync.Mutex
	term  uint64
	acked map[string]time.Time // by voter: when the latest request it answered was sent
	until time.Time
	after time.Time // nothing counts that was sent earlier: the leadership was handed over
}

// acknowledge notes that a peer has answered, as a follower of term, a request
// sent at that time.
func (l *lease) acknowledge(term uint64, peer string, sent time.Time, voters []string, self string, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if term < l.term {
		return
	}
	if term > l.term || l.acked == nil {
		l.term, l.acked, l.until, l.after = term, make(map[string]time.Time), time.Time{}, time.Time{}
	}
	if sent.Before(l.after) || !sent.After(l.acked[peer]) {
		return
	}
	l.acked[peer] = sent
	l.until = l.quorum(voters, self).Add(length)
}

// quorum is since when a majority, this node included, has known the leader:
// with n voters the n/2 latest answers of others.
func (l *lease) quorum(voters []string, self string) time.Time {
	if !slices.Contains(voters, self) {
		return time.Time{}
	}
	times := make([]time.Time, 0, 8)
	for _, v := range voters {
		if at, ok := l.acked[v]; ok && v != self {
			times = append(times, at)
		}
	}
	need := len(voters) / 2
	if need == 0 || len(times) < need {
		return time.Time{}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	return times[need-1]
}

// giveUp ends the lease; it begins anew with what is sent after d.
func (l *lease) giveUp(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until, l.after = time.Time{}, time.Now().Add(d)
	clear(l.acked)
}

func (l *lease) read() (term uint64, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, l.until
}

// Lease returns until when this node may act as the leader of the group without
// asking its followers; the past or zero when it may not.
func (t *Transport) Lease() time.Time {
	r := t.raft.Load()
	if r == nil || r.State() != raft.Leader {
		return time.Time{}
	}
	now := time.Now()
	term, until := t.lease.read()
	if term == r.CurrentTerm() && until.After(now) {
		return until
	}
	if voters := t.voters(r); len(voters) == 1 && voters[0] == t.all.cfg.Identity.ServerID {
		return now.Add(t.all.cfg.Lease)
	}
	return time.Time{}
}

// Lease is the lease of a group's transport; zero where the group is not open.
func (ts *Transports) Lease(group uint64) time.Time {
	t, err := ts.find(group)
	if err != nil {
		return time.Time{}
	}
	return t.Lease()
}

// voters are the ServerIDs that vote by the latest configuration.
func (t *Transport) voters(r *raft.Raft) []string {
	f := r.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	var voters []string
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, string(s.ID))
		}
	}
	return voters
}

// acknowledged notes a follower's good answer.
func (t *Transport) acknowledged(term uint64, peer raft.ServerID, sent time.Time, lastLog uint64) {
	t.progress.note(string(peer), lastLog, sent)
	if r := t.raft.Load(); r != nil {
		t.lease.acknowledge(term, string(peer), sent, t.voters(r), t.all.cfg.Identity.ServerID, t.all.cfg.Lease)
	}
}

// Progress is what a follower last said of its log.
type Progress struct {
	LastIndex uint64
	At        time.Time // when what it answered was sent
}

type progress struct {
	mu    sync.Mutex
	peers map[string]Progress
}

func (p *progress) note(peer string, lastIndex uint64, sent time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !sent.Before(p.peers[peer].At) {
		p.peers[peer] = Progress{LastIndex: lastIndex, At: sent}
	}
}

// Progress returns how far a follower's log reaches, as far as this node, its
// leader, has heard.
func (t *Transport) Progress(serverID string) Progress {
	t.progress.mu.Lock()
	defer t.progress.mu.Unlock()
	return t.progress.peers[serverID]
}
