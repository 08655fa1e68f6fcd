package node

import "github.com/warrenmq/warren/cluster/group"

// Replicas are the queue groups that have a replica here: test/sim compares them.
func (n *Node) Replicas() []*group.Group { return n.host.Groups() }
