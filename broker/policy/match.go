package policy

import (
	"cmp"
	"slices"

	"github.com/warrenmq/warren/broker/pattern"
)

// Set is the policies, or the operator policies, of one vhost, ready to be
// matched. The zero Set is empty.
type Set struct{ ranked []compiled }

type compiled struct {
	policy  *Policy
	pattern *pattern.Pattern
}

// NewSet makes a Set of policies in any order. One whose pattern is no regular
// expression, which Check refuses, matches nothing.
func NewSet(policies []*Policy) Set {
	s := Set{ranked: make([]compiled, 0, len(policies))}
	for _, p := range policies {
		if re, err := pattern.Compile(p.Pattern); err == nil {
			s.ranked = append(s.ranked, compiled{p, re})
		}
	}
	slices.SortFunc(s.ranked, func(a, b compiled) int {
		return cmp.Or(cmp.Compare(b.policy.Priority, a.policy.Priority), cmp.Compare(a.policy.Name, b.policy.Name))
	})
	return s
}

// Match returns the policy that is in force for what has that kind and name, nil
// when there is none: the one with the highest priority, the first by name of equals.
func (s Set) Match(k Kind, name string) *Policy {
	for _, c := range s.ranked {
		if c.policy.appliesTo(k) && c.pattern.Match(name) {
			return c.policy
		}
	}
	return nil
}

// Match is Set's for a single question.
func Match(policies []*Policy, k Kind, name string) *Policy { return NewSet(policies).Match(k, name) }

// appliesTo says whether p is for things of that kind. As in RabbitMQ a policy for
// queues is not for those whose type cannot have one of its keys.
func (p *Policy) appliesTo(k Kind) bool {
	switch p.ApplyTo {
	case All, "":
	case Queues:
		if k == Exchange {
			return false
		}
	case Exchanges:
		return k == Exchange
	default:
		if p.ApplyTo != kindApplyTo[k] {
			return false
		}
	}
	for key := range p.Definition {
		if known, ok := keys[key]; ok && !known.can(k) {
			return false
		}
	}
	return true
}

// kindApplyTo is what names one type of queue alone.
var kindApplyTo = map[Kind]ApplyTo{ClassicQueue: ClassicQueues, QuorumQueue: QuorumQueues, Stream: Streams}

// KindOf is the kind of a queue with these arguments.
func KindOf(args map[string]any) Kind {
	switch args["x-queue-type"] {
	case "quorum":
		return QuorumQueue
	case "stream":
		return Stream
	default:
		return ClassicQueue
	}
}
