//go:build level2

package queue

import "encoding/binary"

// trial is what level 2 adds to a state, to try upgrades with: it counts the batches that were
// published since the level was turned on. What follows levels in a snapshot has it then:
//
//	batches uv
type trial struct{ batches uint64 }

func (t *trial) published() { t.batches++ }

func (t *trial) append(dst []byte) []byte { return binary.AppendUvarint(dst, t.batches) }

func (t *trial) restore(r *reader) { t.batches = r.uvarint() }

// Batches counts the batches that were published since level 2.
func (s *State) Batches() uint64 { return s.trial.batches }
