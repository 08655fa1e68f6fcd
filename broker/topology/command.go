package topology

import (
	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/queue"
)

// Command is one change of the definitions: one of the types below.
type Command interface{ command() }

// DeclareVHost makes a vhost with the predeclared exchanges; an existing one stays as it is.
type DeclareVHost struct {
	VHost VHost
	Max   uint64 // vhosts of the cluster; see Limits
}

// UpdateVHost replaces what a vhost says of itself; a missing one is refused.
type UpdateVHost struct{ VHost VHost }

// DeleteVHost removes a vhost and all that is in it; a missing one is fine, a protected one is refused.
type DeleteVHost struct{ Name string }

// SetVHostLimits replaces the limits of a vhost: MaxQueues, MaxConnections. What is
// missing or negative is not limited.
type SetVHostLimits struct {
	VHost  string
	Limits map[string]int64
}

// SetPolicy makes or replaces a policy or an operator policy.
type SetPolicy struct {
	VHost    string
	Operator bool
	Policy   policy.Policy
}

// ClearPolicy removes a policy or an operator policy; a missing one is refused.
type ClearPolicy struct {
	VHost    string
	Operator bool
	Name     string
}

// DeclareExchange makes an exchange or finds an equivalent one. An exchange that
// keeps messages (Exchange.KeepsMessages) gets a hidden queue in Group.
type DeclareExchange struct {
	Exchange Exchange
	Group    uint64
	Max      uint64 // exchanges of the cluster; see Limits
}

// DeleteExchange removes an exchange; a missing one is fine.
type DeleteExchange struct {
	VHost, Name string
	IfUnused    bool // refuse while bindings lead from it
}

// DeclareQueue makes a queue or finds an equivalent one, which is returned as it is.
// ServerNamed says that the broker chose the name, so that reserved prefixes are allowed.
type DeclareQueue struct {
	Queue       Queue
	ServerNamed bool
	Max         uint64 // queues of the cluster; see Limits
}

// DeleteQueue removes a queue. A missing one is fine, and so is one of that name
// with another ID: the queue that was meant is gone. Connection is who asks, ""
// for the broker itself, which may delete exclusive queues, too.
type DeleteQueue struct {
	VHost, Name string
	ID          queue.ID // 0: whichever has the name
	Connection  string
}

// DeleteOwned removes the exclusive queues of a connection that has ended.
type DeleteOwned struct{ Owner string }

// DropTransient removes the queues that lived in the memory of a node's earlier processes.
type DropTransient struct {
	Home        string
	BeforeEpoch uint64
}

// DropVolatile removes the exchanges that are not durable, with their bindings, of the
// serials up to one: no process that was in the cluster at their declaration is left.
type DropVolatile struct{ Through uint64 }

// Bind adds a binding; an existing one is fine.
type Bind struct {
	Binding    Binding
	Connection string // who asks: an exclusive queue is bound by its owner alone
}

// Unbind removes a binding; a missing one is fine.
type Unbind struct {
	Binding    Binding
	Connection string
}

func (DeclareVHost) command()    {}
func (UpdateVHost) command()     {}
func (SetVHostLimits) command()  {}
func (SetPolicy) command()       {}
func (ClearPolicy) command()     {}
func (DeleteVHost) command()     {}
func (DeclareExchange) command() {}
func (DeleteExchange) command()  {}
func (DeclareQueue) command()    {}
func (DeleteQueue) command()     {}
func (DeleteOwned) command()     {}
func (DropTransient) command()   {}
func (DropVolatile) command()    {}
func (Bind) command()            {}
func (Unbind) command()          {}
