package topology

import (
	"maps"
	"slices"

	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/queue"
)

// policies are the policies of a vhost and what is in force for its queues. The
// package policy says what they mean.
type policies struct {
	user, operator rules
	inForce        map[queue.ID]inForce // queues that no policy is for are not in it
}

// rules are the policies, or the operator policies.
type rules struct {
	byName map[string]*policy.Policy
	set    policy.Set
}

// inForce are the policies of one queue.
type inForce struct{ user, operator *policy.Policy }

func (p *policies) rules(operator bool) *rules {
	if operator {
		return &p.operator
	}
	return &p.user
}

// add keeps a policy; it reports false if there is one of its name. rank must follow.
func (p *policies) add(operator bool, one *policy.Policy) bool {
	r := p.rules(operator)
	if r.byName[one.Name] != nil {
		return false
	}
	if r.byName == nil {
		r.byName = make(map[string]*policy.Policy)
	}
	r.byName[one.Name] = one
	return true
}

// rank makes the policies ready to be matched.
func (p *policies) rank() {
	for _, r := range [...]*rules{&p.user, &p.operator} {
		r.set = policy.NewSet(r.sorted())
	}
}

func (r *rules) sorted() []*policy.Policy {
	list := make([]*policy.Policy, 0, len(r.byName))
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		list = append(list, r.byName[name])
	}
	return list
}

// enter finds the policies of a queue.
func (p *policies) enter(q *Queue) {
	f := inForce{p.user.set.Match(q.kind(), q.Name), p.operator.set.Match(q.kind(), q.Name)}
	if f == (inForce{}) {
		p.leave(q)
		return
	}
	if p.inForce == nil {
		p.inForce = make(map[queue.ID]inForce)
	}
	p.inForce[q.ID] = f
}

func (p *policies) leave(q *Queue) { delete(p.inForce, q.ID) }

func (p *policies) ofExchange(x *Exchange) (user, operator *policy.Policy) {
	return p.user.set.Match(policy.Exchange, x.Name), p.operator.set.Match(policy.Exchange, x.Name)
}

// alternate is the alternate exchange that is in force for x.
func (p *policies) alternate(x *Exchange) (string, bool) {
	user, operator := p.ofExchange(x)
	return policy.Alternate(x.Arguments, user, operator)
}

func (q *Queue) kind() policy.Kind {
	return policy.KindOf(q.Arguments)
}

func (t *Topology) setPolicy(c SetPolicy) (Result, error) {
	v, err := t.vhost(c.VHost)
	if err != nil {
		return Result{}, err
	}
	p := c.Policy
	if p.Name == "" {
		return Result{}, refuse(ErrPreconditionFailed, "policy name cannot be empty")
	}
	if !valid(p.Definition, 0) {
		return Result{}, refuse(ErrPreconditionFailed, "policy '%s' has a definition that is no JSON", p.Name)
	}
	if err := policy.Check(&p, c.Operator); err != nil {
		return Result{}, &Error{Kind: ErrPreconditionFailed, Text: err.Error()}
	}
	if old := v.policies.rules(c.Operator).byName[p.Name]; old != nil {
		if samePolicy(old, &p) {
			return Result{}, nil
		}
		delete(v.policies.rules(c.Operator).byName, p.Name)
	}
	v.policies.add(c.Operator, &p)
	return Result{Changes: t.policiesChanged(v)}, nil
}

func samePolicy(a, b *policy.Policy) bool {
	return a.Pattern == b.Pattern && a.ApplyTo == b.ApplyTo && a.Priority == b.Priority && sameDefinition(a.Definition, b.Definition)
}

// sameDefinition is stricter than SameValue: 1 and 1.0 are shown differently.
func sameDefinition(a, b map[string]any) bool {
	v, w := writer{}, writer{}
	v.table(a)
	w.table(b)
	return string(v.buf) == string(w.buf)
}

func (t *Topology) clearPolicy(c ClearPolicy) (Result, error) {
	v, err := t.vhost(c.VHost)
	if err != nil {
		return Result{}, err
	}
	r := v.policies.rules(c.Operator)
	if r.byName[c.Name] == nil {
		return Result{}, refuse(ErrNotFound, "Parameter does not exist") // RabbitMQ keeps policies as parameters
	}
	delete(r.byName, c.Name)
	return Result{Changes: t.policiesChanged(v)}, nil
}

// policiesChanged finds what is in force now, and tells what differs from before.
func (t *Topology) policiesChanged(v *vhost) []Change {
	changes := []Change{{Kind: PoliciesChanged, VHost: v.name}}
	queues := sortedQueues(v.queues)
	before := make([]queue.Settings, len(queues))
	for i, q := range queues {
		before[i] = t.Settings(q)
	}
	v.policies.rank()
	for i, q := range queues {
		v.policies.enter(q)
		if t.Settings(q) != before[i] {
			changes = append(changes, Change{Kind: QueueChanged, VHost: v.name, Queue: q})
		}
	}
	for _, x := range t.Exchanges(v.name) {
		name, ok := v.policies.alternate(x)
		if name == x.alternate && ok == x.hasAlternate {
			continue
		}
		now := *x // whoever has the old value keeps it as it was
		now.alternate, now.hasAlternate = name, ok
		v.exchanges[x.Name] = &now
		changes = append(changes, Change{Kind: ExchangeChanged, VHost: v.name, Exchange: &now})
	}
	return changes
}

// Settings is what is in force for a queue: its arguments, its policy and its
// operator policy; for a hidden queue what its exchange asks for.
func (t *Topology) Settings(q *Queue) queue.Settings {
	base := queue.Settings{VHost: q.VHost, Name: q.Name, Delays: q.Delays}
	switch {
	case q.Delays != "":
		return base
	case q.Keeps != "":
		base.MaxLength = queue.Limit{Set: true, N: defaultHistory}
		if x := t.Exchange(q.VHost, q.Keeps); x != nil {
			base.MaxLength.N = x.HistoryLength()
		}
		return base
	}
	user, operator := t.QueuePolicies(q)
	return policy.Settings(base, q.Arguments, user, operator)
}

// QueuePolicies are the policy and the operator policy that are in force for a queue, nil where there is none.
func (t *Topology) QueuePolicies(q *Queue) (user, operator *policy.Policy) {
	if v := t.vhosts[q.VHost]; v != nil {
		f := v.policies.inForce[q.ID]
		return f.user, f.operator
	}
	return nil, nil
}

// ExchangePolicies are the policy and the operator policy that are in force for an exchange.
func (t *Topology) ExchangePolicies(x *Exchange) (user, operator *policy.Policy) {
	if v := t.vhosts[x.VHost]; v != nil {
		return v.policies.ofExchange(x)
	}
	return nil, nil
}

// Policies lists the policies, or the operator policies, of a vhost by name.
func (t *Topology) Policies(vhost string, operator bool) []*policy.Policy {
	if v := t.vhosts[vhost]; v != nil {
		return v.policies.rules(operator).sorted()
	}
	return nil
}

// Policy finds a policy or an operator policy, nil when there is none.
func (t *Topology) Policy(vhost string, operator bool, name string) *policy.Policy {
	if v := t.vhosts[vhost]; v != nil {
		return v.policies.rules(operator).byName[name]
	}
	return nil
}
