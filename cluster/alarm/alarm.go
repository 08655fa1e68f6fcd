// Package alarm tells publishers when a node is short of memory or of disk.
//
// Each node measures itself once a second and tells the others with its
// heartbeats, several times a second; what was not repeated for a few seconds,
// because the node or the way to it is gone, counts no more. A publish waits only
// when it would make a short node hold more: when its queue is led there, or when
// a majority of the queue's replicas is short. All other traffic goes on.
//
// It decides about publishes alone. It frees nothing, moves nothing and refuses
// nothing; how a client is told is broker/connection's.
package alarm

import "strings"

// Kind says what a node is short of; kinds add up.
type Kind uint8

const (
	Memory Kind = 1 << iota
	Disk

	None Kind = 0
)

// Reason is what clients are told in connection.blocked.
func (k Kind) Reason() string {
	switch k & (Memory | Disk) {
	case Memory:
		return "low on memory"
	case Disk:
		return "low on disk"
	case Memory | Disk:
		return "low on disk & memory"
	}
	return ""
}

// String lists RabbitMQ's names of the resources.
func (k Kind) String() string { return strings.Join(k.Resources(), ",") }

// Resources are RabbitMQ's names of what is short.
func (k Kind) Resources() []string {
	var names []string
	if k&Memory != 0 {
		names = append(names, "memory")
	}
	if k&Disk != 0 {
		names = append(names, "disk")
	}
	return names
}
