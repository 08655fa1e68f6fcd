package membership

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// reason is why a node is not taken for a member.
type reason int

const (
	otherCluster reason = iota + 1 // it belongs to another cluster
	nameTaken                      // another living node has its name
	ownName                        // it has this node's name
	ownIdentity                    // it is this very node, started later
	predecessor                    // an earlier process of a known node: not worth a line
	tooMany                        // the table is full
)

// refusalMark begins the text of every refusal. memberlist keeps only texts of
// errors, so this is how a failed join is known to have been explained already.
const refusalMark = "refused: "

// refusal is the error of a judgement.
type refusal struct {
	reason reason
	node   Member // who is refused
	known  Member // who stands against it
}

func (r *refusal) Error() string {
	text := refusalMark
	switch r.reason {
	case otherCluster:
		text += fmt.Sprintf("%s belongs to another cluster (%s, this one is %s)", r.node.ID, r.node.ClusterID, r.known.ClusterID)
	case nameTaken:
		text += fmt.Sprintf("the name of %s is taken by %s at %s, which is alive", r.node.ID, r.known.ID, r.known.GossipAddr)
	case ownName:
		text += fmt.Sprintf("%s has the name of this node, %s", r.node.ID, r.known.ID)
	case ownIdentity:
		text += fmt.Sprintf("%s was started elsewhere, or later (start %d, here %d): is a copy of this data folder in use, or an old one restored?",
			r.node.ID, r.node.Epoch, r.known.Epoch)
	case predecessor:
		text += fmt.Sprintf("%s has been restarted since (start %d, now %d)", r.node.ID, r.node.Epoch, r.known.Epoch)
	case tooMany:
		text += fmt.Sprintf("%s would be one node more than %d", r.node.ID, maxMembers)
	}
	return text
}

const (
	repeatAfter  = time.Minute // the same line is not logged more often
	maxRemarks   = 256         // bound of the keys remembered for that
	overflowNote = "overflow"  // the key they share beyond it
)

// remarks logs lines for operators, each at most once a minute: what happens
// around gossip happens again with every packet.
type remarks struct {
	logger *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time
}

func newRemarks(logger *slog.Logger) *remarks {
	return &remarks{logger: logger, last: make(map[string]time.Time)}
}

// warn logs a line unless key was used within the last minute.
func (r *remarks) warn(key, text string, args ...any) {
	if r.due(key) {
		r.logger.Warn(text, args...)
	}
}

func (r *remarks) due(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if len(r.last) >= maxRemarks {
		for k, at := range r.last {
			if now.Sub(at) >= repeatAfter {
				delete(r.last, k)
			}
		}
	}
	if _, known := r.last[key]; !known && len(r.last) >= maxRemarks {
		key = overflowNote
	}
	if at, ok := r.last[key]; ok && now.Sub(at) < repeatAfter {
		return false
	}
	r.last[key] = now
	return true
}

// refused logs a refusal.
func (r *remarks) refused(why *refusal) {
	if why.reason == predecessor {
		r.logger.Debug(why.Error())
		return
	}
	key := fmt.Sprint(why.reason, " ", why.node.ID)
	r.warn(key, why.Error(), "node", why.node.ID, "address", why.node.GossipAddr)
}
