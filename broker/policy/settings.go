package policy

import "github.com/warrenmq/warren/broker/queue"

// Settings is what is in force for a queue: base, which has its vhost and name,
// with what its arguments, its policy and its operator policy say.
func Settings(base queue.Settings, args map[string]any, user, operator *Policy) queue.Settings {
	return base
}

// Alternate is the alternate exchange that is in force for an exchange.
func Alternate(args map[string]any, user, operator *Policy) (name string, ok bool) { return "", false }

// Effective merges a policy and an operator policy, as listings show them
// (effective_policy_definition); nil when there is neither.
func Effective(user, operator *Policy) map[string]any { return nil }
