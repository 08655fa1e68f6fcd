package alarm

import "github.com/warrenmq/warren/broker/queue"

// Blocked says whether a publish to these queues has to wait, why, and until
// when it need not ask again: changed is closed within a second, as a queue may
// move to a node that is not short. It is an atomic load while no node is short.
func (a *Alarms) Blocked(to []queue.ID) (reason string, changed <-chan struct{}, blocked bool) {
	s := a.short.Load()
	if s == nil {
		return "", nil, false
	}
	var why Kind
	for _, id := range to {
		if leader, replicas, ok := a.cfg.Locate(id); ok {
			why |= s.blocks(leader, replicas)
		}
	}
	if why == None {
		return "", nil, false
	}
	return why.Reason(), s.changed, true
}

// blocks says for want of what a queue takes no more: its leader is short, which
// keeps the messages in hand, or a majority of its replicas, which stores them.
func (s *short) blocks(leader string, replicas []string) Kind {
	why := s.nodes[leader]
	lacking, kinds := 0, None
	for _, id := range replicas {
		if k := s.nodes[id]; k != None {
			lacking++
			kinds |= k
		}
	}
	if 2*lacking > len(replicas) {
		why |= kinds
	}
	return why
}
