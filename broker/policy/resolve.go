package policy

import (
	"maps"
	"slices"
)

// Source says where what is in force comes from.
type Source string

const (
	Argument       Source = "argument"
	UserPolicy     Source = "policy"
	OperatorPolicy Source = "operator policy"
	Default        Source = "default"
)

// sourced is a value and where it comes from. The zero value is none.
type sourced struct {
	value  any
	source Source
}

// rule says which of two values holds; both are there.
type rule func(a, b sourced) sourced

func first(a, _ sourced) sourced  { return a }
func second(_, b sourced) sourced { return b }

// lower and higher take the first of equals. What is no number, which Check and
// declare refuse, loses.
func lower(a, b sourced) sourced {
	x, ok := whole(a.value)
	y, also := whole(b.value)
	if also && (!ok || y < x) {
		return b
	}
	return a
}

func higher(a, b sourced) sourced {
	x, ok := whole(a.value)
	y, also := whole(b.value)
	if also && (!ok || y > x) {
		return b
	}
	return a
}

// careful is the rule of delivery limits: a negative one is none, and any limit
// is safer than none.
func careful(a, b sourced) sourced {
	x, _ := whole(a.value)
	y, _ := whole(b.value)
	if x < 0 || y < 0 {
		return higher(a, b)
	}
	return lower(a, b)
}

// merges says how a policy, the first, and an operator policy meet; what is not
// listed is the operator's (K2).
var merges = map[string]rule{
	"message-ttl":          lower,
	"expires":              lower,
	"max-length":           lower,
	"max-length-bytes":     lower,
	"max-in-memory-length": lower,
	"max-in-memory-bytes":  lower,
	"delayed-retry-max":    lower,
	"delivery-limit":       careful,
	"target-group-size":    higher,
	"delayed-retry-min":    higher,
}

// origin is all that a thing's settings come from.
type origin struct {
	args           map[string]any
	user, operator *Policy
}

// policy is what the two policies say of a key.
func (o origin) policy(key string) sourced {
	user, ok := definition(o.user)[key]
	operator, also := definition(o.operator)[key]
	switch {
	case ok && also:
		merge := merges[key]
		if merge == nil {
			merge = second
		}
		return merge(sourced{user, UserPolicy}, sourced{operator, OperatorPolicy})
	case ok:
		return sourced{user, UserPolicy}
	case also:
		return sourced{operator, OperatorPolicy}
	}
	return sourced{}
}

// value is what is in force: resolve is asked when an argument, the first, and a
// policy both say something.
func (o origin) value(key, argument string, resolve rule) sourced {
	of := o.policy(key)
	arg, ok := o.args[argument]
	switch {
	case !ok:
		return of
	case of.source == "":
		return sourced{arg, Argument}
	}
	return resolve(sourced{arg, Argument}, of)
}

func definition(p *Policy) map[string]any {
	if p == nil {
		return nil
	}
	return p.Definition
}

// Effective merges a policy and an operator policy, as listings show them
// (effective_policy_definition); nil when there is neither.
func Effective(user, operator *Policy) map[string]any {
	if user == nil && operator == nil {
		return nil
	}
	merged := make(map[string]any)
	for key := range keysOf(user, operator) {
		merged[key] = origin{user: user, operator: operator}.policy(key).value
	}
	return merged
}

// keysOf are the keys of both policies.
func keysOf(user, operator *Policy) map[string]struct{} {
	all := make(map[string]struct{})
	for _, p := range [...]*Policy{user, operator} {
		for key := range definition(p) {
			all[key] = struct{}{}
		}
	}
	return all
}

// Effect is one setting that is in force.
type Effect struct {
	Key    string // as policies name it
	Value  any
	Source Source
}

// Explain says for each setting of a queue that is in force where it comes from, by key.
func Explain(args map[string]any, user, operator *Policy) []Effect {
	o := origin{args, user, operator}
	resolves := resolvesFor(KindOf(args))
	var effects []Effect
	for _, key := range slices.Sorted(maps.Keys(resolves)) {
		v := o.value(key, "x-"+key, resolves[key])
		if key == "delivery-limit" {
			v = deliveryLimit(v, KindOf(args))
		}
		if v.source != "" {
			effects = append(effects, Effect{key, v.value, v.source})
		}
	}
	return effects
}
