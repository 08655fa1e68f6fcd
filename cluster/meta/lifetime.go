package meta

import (
	"math"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// An exchange that is not durable lives as long as the cluster does without a break:
// it goes when no process is left that was there at its declaration, nor one that met
// such a process, nor one that met that. Each process has for this the serial of the
// definitions from which on it can vouch for them: at its registration, or earlier,
// as that of a process that was alive at the same time.

// overlap notes that processes were alive at the same time.
func (s *state) overlap(processes []*pb.MetaProcess) {
	since := uint64(math.MaxUint64)
	for _, p := range processes {
		if n, ok := s.nodes[p.GetId()]; ok && n.Epoch == p.GetEpoch() {
			since = min(since, n.Since)
		}
	}
	for _, p := range processes {
		if n, ok := s.nodes[p.GetId()]; ok && n.Epoch == p.GetEpoch() {
			n.Since = since
			s.nodes[n.ID] = n
		}
	}
}

// end notes that a process was not seen for long. If it comes back after all, others
// vouch for what they met it with.
func (s *state) end(p *pb.MetaProcess) (topology.Result, error) {
	n, ok := s.nodes[p.GetId()]
	if !ok || n.Epoch != p.GetEpoch() {
		return topology.Result{}, nil
	}
	n.Ended = true
	s.nodes[n.ID] = n
	return s.dropVolatile()
}

// dropVolatile drops what no process vouches for any more.
func (s *state) dropVolatile() (topology.Result, error) {
	since, any := uint64(math.MaxUint64), false
	nodes := s.sortedNodes()
	for _, n := range nodes {
		if !n.Ended && !superseded(nodes, n.ID) {
			since, any = min(since, n.Since), true
		}
	}
	if !any || since == 0 {
		return topology.Result{}, nil
	}
	return s.topology.Apply(topology.DropVolatile{Through: since})
}
