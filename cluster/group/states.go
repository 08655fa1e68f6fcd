package group

import "github.com/warrenmq/warren/broker/queue"

// Digest sums up the state of one replica. Replicas that have applied the same entries have
// the same.
type Digest struct {
	ID      uint64 `json:"id"`
	Last    uint64 `json:"last"` // the entry that was applied last
	Level   uint64 `json:"level"`
	Hash    uint64 `json:"hash,string"`
	Batches uint64 `json:"batches"` // published since a level that counts them
}

// Digest looks through the whole state while nothing is applied.
func (g *Group) Digest() Digest {
	d := Digest{ID: g.id}
	g.fsm.locked(func(s *queue.State) {
		d.Last, d.Level, d.Hash, d.Batches = g.fsm.last, s.Level(), s.Hash(), s.Batches()
	})
	return d
}
