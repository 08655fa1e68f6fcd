package policy

import "regexp"

// Set is the policies, or the operator policies, of one vhost, ready to be
// matched. The zero Set is empty.
type Set struct{ ranked []compiled }

type compiled struct {
	policy  *Policy
	pattern *regexp.Regexp
}

// NewSet makes a Set of policies in any order.
func NewSet(policies []*Policy) Set { return Set{} }

// Match returns the policy that is in force for what has that kind and name, nil
// when there is none: the one with the highest priority, the first by name of equals.
func (s Set) Match(k Kind, name string) *Policy { return nil }

// Match is Set's for a single question.
func Match(policies []*Policy, k Kind, name string) *Policy { return NewSet(policies).Match(k, name) }
