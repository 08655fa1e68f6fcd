package topology

import (
	"errors"
	"slices"
	"testing"

	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/queue"
)

func setPolicy(name, pattern string, to policy.ApplyTo, definition map[string]any) SetPolicy {
	return SetPolicy{VHost: "/", Policy: policy.Policy{Name: name, Pattern: pattern, ApplyTo: to, Definition: definition}}
}

// effects tells what changes of a policy were told of.
func effects(changes []Change) (list []string) {
	for _, c := range changes {
		switch c.Kind {
		case PoliciesChanged:
			list = append(list, "policies")
		case QueueChanged:
			list = append(list, "q "+c.Queue.Name)
		case ExchangeChanged:
			alternate, _ := c.Exchange.AlternateExchange()
			list = append(list, "x "+c.Exchange.Name+">"+alternate)
		}
	}
	return list
}

func TestPoliciesAreInForceAtOnce(t *testing.T) {
	top := New()
	must(t, top, durable("q1", nil), durable("q2", Arguments{"x-max-length": int32(3)}), durable("p", nil),
		exchange("x", Fanout), ofType("own", Fanout, Arguments{"alternate-exchange": "mine"}),
		ofType("late", Delayed, Arguments{"x-delayed-type": Fanout}))
	old := top.Exchange("/", "x")
	for _, step := range []struct {
		command Command
		want    []string
	}{
		{setPolicy("a", "^q", policy.Queues, map[string]any{"max-length": int64(5)}), []string{"policies", "q q1"}},
		{setPolicy("a", "^q", policy.Queues, map[string]any{"max-length": int64(5)}), nil},
		{setPolicy("a", "^q", policy.Queues, map[string]any{"max-length": int64(2)}), []string{"policies", "q q1", "q q2"}},
		{setPolicy("b", "x|own", policy.Exchanges, map[string]any{"alternate-exchange": "ae"}), []string{"policies", "x x>ae"}},
		{setPolicy("c", "p", policy.All, map[string]any{"max-length": int64(9)}), []string{"policies", "q p"}},
		{ClearPolicy{VHost: "/", Name: "b"}, []string{"policies", "x x>"}},
		{ClearPolicy{VHost: "/", Name: "a"}, []string{"policies", "q q1", "q q2"}},
	} {
		if got := effects(must(t, top, step.command).Changes); !slices.Equal(got, step.want) {
			t.Errorf("Apply(%+v) told of %q, want %q", step.command, got, step.want)
		}
	}
	if _, has := old.AlternateExchange(); has {
		t.Error("a value that was handed out has changed")
	}
	want := queue.Limit{Set: true, N: 9}
	restored, err := RestoreTopology(top.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, top := range map[string]*Topology{"told": top, "restored": restored} {
		if got := top.Settings(top.Queue("/", "p")).MaxLength; got != want {
			t.Errorf("%s: max-length of p is %+v, want %+v", name, got, want)
		}
		if user, operator := top.QueuePolicies(top.Queue("/", "p")); user == nil || user.Name != "c" || operator != nil {
			t.Errorf("%s: the policies of p are %v and %v", name, user, operator)
		}
	}
	if got := must(t, top, durable("p2", nil)).Queue; top.Settings(got).MaxLength != want {
		t.Errorf("a new queue has %+v", top.Settings(got))
	}
}

func TestOperatorPolicies(t *testing.T) {
	top := New()
	must(t, top, durable("q", nil), setPolicy("p", "q", policy.Queues, map[string]any{"max-length": int64(5)}))
	c := setPolicy("p", "q", policy.Queues, map[string]any{"max-length": int64(3)})
	c.Operator = true
	must(t, top, c)
	if got := top.Settings(top.Queue("/", "q")).MaxLength; got != (queue.Limit{Set: true, N: 3}) {
		t.Errorf("max-length is %+v", got)
	}
	if a, b := top.Policies("/", false), top.Policies("/", true); len(a) != 1 || len(b) != 1 || a[0].Definition["max-length"] != int64(5) {
		t.Errorf("policies %v, operator policies %v", a, b)
	}
	must(t, top, ClearPolicy{VHost: "/", Operator: true, Name: "p"})
	if got := top.Settings(top.Queue("/", "q")).MaxLength; got != (queue.Limit{Set: true, N: 5}) {
		t.Errorf("max-length is %+v", got)
	}
}

func TestRefusedPoliciesAndVHosts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command Command
		kind    error
	}{
		{"a policy without a name", setPolicy("", "q", policy.Queues, map[string]any{"max-length": int64(5)}), ErrPreconditionFailed},
		{"a policy with a bad pattern", setPolicy("p", "(", policy.Queues, map[string]any{"max-length": int64(5)}), ErrPreconditionFailed},
		{"a policy with an unknown key", setPolicy("p", "q", policy.Queues, map[string]any{"no-such-key": int64(5)}), ErrPreconditionFailed},
		{"a policy that is no JSON", setPolicy("p", "q", policy.Queues, map[string]any{"max-length": struct{}{}}), ErrPreconditionFailed},
		{"a missing policy is cleared", ClearPolicy{VHost: "/", Name: "p"}, ErrNotFound},
		{"a policy of a missing vhost", SetPolicy{VHost: "none", Policy: policy.Policy{Name: "p"}}, ErrNotAllowed},
		{"a limit is unknown", SetVHostLimits{VHost: "/", Limits: map[string]int64{"max-hats": 1}}, ErrPreconditionFailed},
		{"limits of a missing vhost", SetVHostLimits{VHost: "none"}, ErrNotAllowed},
		{"a missing vhost is updated", UpdateVHost{VHost{Name: "none"}}, ErrNotAllowed},
		{"a default queue type is unknown", UpdateVHost{VHost{Name: "/", DefaultQueueType: "no"}}, ErrPreconditionFailed},
		{"a vhost has no name", DeclareVHost{}, ErrPreconditionFailed},
	} {
		top := world(t)
		before := top.AppendSnapshot(nil)
		if _, err := top.Apply(tt.command); !errors.Is(err, tt.kind) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.kind)
		}
		if !slices.Equal(before, top.AppendSnapshot(nil)) {
			t.Errorf("%s: the state has changed", tt.name)
		}
	}
}

func TestVHostSaysOfItself(t *testing.T) {
	top := New()
	def := VHost{Name: "v", Description: "d", Tags: []string{"a", "b"}, DefaultQueueType: "quorum", Protected: true}
	must(t, top, DeclareVHost{VHost: def})
	q := must(t, top, DeclareQueue{Queue: Queue{VHost: "v", Name: "q", Durable: true}}).Queue
	if q.Type() != "quorum" {
		t.Errorf("the vhost's default type gave %v", q.Arguments)
	}
	if r := must(t, top, DeclareQueue{Queue: Queue{VHost: "v", Name: "q", Durable: true}}); r.Created {
		t.Error("a queue without a type was made anew")
	}
	if _, err := top.Apply(DeleteVHost{Name: "v"}); !errors.Is(err, ErrPreconditionFailed) {
		t.Errorf("a protected vhost: %v", err)
	}
	top, err := RestoreTopology(top.AppendSnapshot(nil))
	if err != nil || !top.VHost("v").same(&def) {
		t.Fatalf("restored %+v, %v", top.VHost("v"), err)
	}
	must(t, top, UpdateVHost{VHost{Name: "v"}}, DeleteVHost{Name: "v"})
}

func TestHiddenQueues(t *testing.T) {
	top := New()
	late := must(t, top, ofType("late", Delayed, Arguments{"x-delayed-type": Topic})).Exchange
	history := must(t, top, ofType("last", RecentHistory, Arguments{"x-recent-history-length": int8(4)})).Exchange
	if n := len(top.Queues("/")); n != 0 {
		t.Errorf("%d hidden queues are listed", n)
	}
	q, h := top.QueueByID(late.DelayQueue), top.QueueByID(history.HistoryQueue)
	if q == nil || q.Group != 1 || !q.Durable || top.Settings(q) != (queue.Settings{VHost: "/", Name: "amq.delayed.late", Delays: "late"}) {
		t.Errorf("delayed messages wait in %+v with %+v", q, top.Settings(q))
	}
	if h == nil || top.Settings(h) != (queue.Settings{VHost: "/", Name: "amq.history.last", MaxLength: queue.Limit{Set: true, N: 4}}) {
		t.Errorf("the history is in %+v with %+v", h, top.Settings(h))
	}
	if late.RoutingType() != Topic || history.RoutingType() != RecentHistory {
		t.Errorf("routed as %s and %s", late.RoutingType(), history.RoutingType())
	}
	if got := len(top.QueuesIn(1)); got != 2 {
		t.Errorf("%d queues in the group", got)
	}
}

// TestDefaultQueueTypeOfFlags is E15: the default type is for queues whose flags it
// can have in RabbitMQ.
func TestDefaultQueueTypeOfFlags(t *testing.T) {
	top := New()
	if _, err := top.Apply(UpdateVHost{VHost{Name: "/", DefaultQueueType: "quorum"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		q    Queue
		want any
	}{
		{"durable", Queue{VHost: "/", Durable: true}, "quorum"},
		{"transient", Queue{VHost: "/"}, nil},
		{"exclusive", Queue{VHost: "/", Durable: true, Exclusive: true}, nil},
		{"auto-delete", Queue{VHost: "/", Durable: true, AutoDelete: true}, nil},
	} {
		if top.Complete(&c.q); c.q.Arguments["x-queue-type"] != c.want {
			t.Errorf("%s: x-queue-type is %v, want %v", c.what, c.q.Arguments["x-queue-type"], c.want)
		}
	}
}
