package topology

// The exchange types that can be declared.
const (
	Direct         = "direct"
	Fanout         = "fanout"
	Topic          = "topic"
	Headers        = "headers"
	ConsistentHash = "x-consistent-hash"
	ModulusHash    = "x-modulus-hash"
	Random         = "x-random"
	LocalRandom    = "x-local-random"
	RecentHistory  = "x-recent-history"
	Delayed        = "x-delayed-message"
)

// KeepsMessages tells the types of exchange that have a hidden queue.
func (x *Exchange) KeepsMessages() bool { return x.Type == Delayed || x.Type == RecentHistory }

// RoutingType is the type by which x leads messages: that of x-delayed-message is an argument.
func (x *Exchange) RoutingType() string {
	if x.Type != Delayed {
		return x.Type
	}
	kind, _ := x.Arguments["x-delayed-type"].(string)
	return kind
}
