package topology

import (
	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/queue"
)

// Settings is what is in force for a queue: its arguments, its policy and its operator policy.
func (t *Topology) Settings(q *Queue) queue.Settings {
	return queue.Settings{VHost: q.VHost, Name: q.Name}
}

// QueuePolicies are the policy and the operator policy that are in force for a queue, nil where there is none.
func (t *Topology) QueuePolicies(q *Queue) (user, operator *policy.Policy) { return nil, nil }

// ExchangePolicies are the policy and the operator policy that are in force for an exchange.
func (t *Topology) ExchangePolicies(x *Exchange) (user, operator *policy.Policy) { return nil, nil }

// Policies lists the policies, or the operator policies, of a vhost by name.
func (t *Topology) Policies(vhost string, operator bool) []*policy.Policy { return nil }

// Policy finds a policy or an operator policy, nil when there is none.
func (t *Topology) Policy(vhost string, operator bool, name string) *policy.Policy { return nil }

// Limits are the limits of a vhost. They must not be changed.
func (t *Topology) Limits(vhost string) map[string]int64 { return nil }
