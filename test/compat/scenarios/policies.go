package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// policies is K1 to K5.
func policies() []Scenario {
	return slices.Concat(livePolicies(), operatorPolicies(), policiesAndArguments(), refusedPolicies(), appliedPolicies(), toldPolicies())
}

// appliedPolicies is K1: which policy applies.
func appliedPolicies() []Scenario {
	return []Scenario{
		{Name: "K1/the highest priority applies alone", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.Policy(q, "queues", 1, T{"max-length": 1})
			s.Policy(q, "queues", 5, T{"max-length": 3})
			ch.Queue("q", nil)
			s.Put(q, "1", "2", "3", "4", "5")
			ch.Await(q, 3, 0)
			ch.Get(q)
		}},
		{Name: "K1/policies are not merged", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.Policy(q, "queues", 1, T{"message-ttl": 0})
			s.Policy(q, "queues", 5, T{"max-length": 3})
			ch.Queue("q", nil)
			s.Put(q, "stays")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "K1,K5/the next policy applies when the highest goes", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.Policy(q, "queues", 1, T{"max-length": 1})
			s.Policy(q, "queues", 5, T{"max-length": 3})
			ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 3, 0)
			s.HTTP("DELETE", "/api/policies/%2F/"+q+"-5", nil)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "K1/a policy of exchanges is not of queues", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.HTTP("PUT", "/api/policies/%2F/"+q, T{"pattern": "^" + q + "$", "apply-to": "exchanges", "definition": T{"alternate-exchange": "amq.fanout"}})
			s.Cleanup(func() { s.HTTP("DELETE", "/api/policies/%2F/"+q, nil) })
			ch.Queue("q", nil)
			told(s, q)
		}},
		{Name: "K1/a policy of all", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.Policy(q, "all", 0, T{"max-length": 1})
			ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 1, 0)
			applied(s, q)
			told(s, q)
		}},
		{Name: "K1/a pattern is found anywhere in a name", Run: func(s *S) {
			ch := s.Connect().Channel()
			mark := s.Name("mark")
			s.HTTP("PUT", "/api/policies/%2F/"+mark, T{"pattern": mark, "definition": T{"max-length": 1}})
			s.Cleanup(func() { s.HTTP("DELETE", "/api/policies/%2F/"+mark, nil) })
			q := s.Name("before " + mark + " behind")
			ch.Do(&wire.QueueDeclare{Queue: q, Durable: true})
			s.Put(q, "1", "2")
			ch.Await(q, 1, 0)
		}},
		{Name: "K1/a policy is of one virtual host", Run: func(s *S) {
			v := s.VHost("v")
			s.HTTP("PUT", "/api/policies/"+v+"/p", T{"pattern": ".*", "definition": T{"max-length": 1}})
			here, there := s.Connect().Channel(), s.Connect(VHost(v)).Channel()
			for _, ch := range []*Channel{here, there} {
				q := ch.Queue("q", nil)
				ch.Confirm()
				for _, b := range []string{"1", "2", "3"} {
					ch.Publish("", q, P{}, b)
				}
				ch.Confirms(3)
				ch.Get(q)
			}
		}},
	}
}

// toldPolicies is K1: what is told of policies.
func toldPolicies() []Scenario {
	return []Scenario{
		{Name: "K1/what is told of a queue's policies", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			ch.Queue("q", nil)
			told(s, q)
			s.Policy(q, "queues", 3, T{"max-length": 5, "message-ttl": 60000})
			s.Eventually("it has a policy", func() bool { return s.HTTP("GET", "/api/queues/%2F/"+q, nil).Field("policy") != nil })
			told(s, q)
			s.OperatorPolicy(q, "queues", 1, T{"max-length": 3, "expires": 60000})
			s.Eventually("it has an operator policy", func() bool {
				return s.HTTP("GET", "/api/queues/%2F/"+q, nil).Field("operator_policy") != nil
			})
			told(s, q)
		}},
		{Name: "K1/a policy is told as it was set", Run: func(s *S) {
			p := s.Name("p")
			path := "/api/policies/%2F/" + p
			s.HTTP("PUT", path, T{"pattern": "^" + p, "priority": 7, "apply-to": "queues", "definition": T{"max-length": 5, "overflow": "reject-publish"}})
			r := s.HTTP("GET", path, nil)
			for _, f := range []string{"vhost", "name", "pattern", "apply-to", "definition", "priority"} {
				s.Record("%s: %v", f, r.Field(f))
			}
			s.HTTP("DELETE", path, nil)
			s.HTTP("GET", path, nil)
			s.HTTP("DELETE", path, nil)
		}},
		{Name: "K1/what a policy is where it is not said", Run: func(s *S) {
			p := s.Name("p")
			path := "/api/policies/%2F/" + p
			s.HTTP("PUT", path, T{"pattern": "^" + p, "definition": T{"max-length": 5}})
			s.Cleanup(func() { s.HTTP("DELETE", path, nil) })
			r := s.HTTP("GET", path, nil)
			s.Record("apply-to %v, priority %v", r.Field("apply-to"), r.Field("priority"))
		}},
		{Name: "K1,E2/a policy is not compared by declares", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.Policy(q, "queues", 0, T{"max-length": 1, "message-ttl": 60000})
			ch.Queue("q", nil)
			ch.Queue("q", nil)
			ch.Queue("q", T{"x-max-length": int32(1)})
		}},
		{Name: "K1/kinds of queues", Source: "rabbit_policy.erl, apply_to_validation/2 and matches_queue_type/2 (main 5b09e55)", Want: `
			c1 connects
			PUT /api/policies/%2F/q-classic -> 201
			PUT /api/policies/%2F/q-quorum -> 201
			c1.1 > queue.declare queue=q-a durable arguments={x-queue-type=S:classic}
			c1.1 < queue.declare-ok queue=q-a message-count=0 consumer-count=0
			c1.1 > queue.declare queue=q-b durable arguments={x-queue-type=S:quorum}
			c1.1 < queue.declare-ok queue=q-b message-count=0 consumer-count=0
			put exchange="" key=q-a "1"
			put exchange="" key=q-a "2"
			put exchange="" key=q-a "3"
			put exchange="" key=q-b "1"
			put exchange="" key=q-b "2"
			put exchange="" key=q-b "3"
			eventually queue q-a has 1 ready, 0 consumers
			eventually queue q-b has 2 ready, 0 consumers`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			for kind, length := range map[string]int{"classic": 1, "quorum": 2} {
				s.Silently(func() {
					s.HTTP("PUT", "/api/policies/%2F/"+q+"-"+kind, T{"pattern": "^" + q + "-", "apply-to": kind + "_queues", "definition": T{"max-length": length}})
				})
				s.Cleanup(func() { s.HTTP("DELETE", "/api/policies/%2F/"+q+"-"+kind, nil) })
			}
			s.Record("PUT /api/policies/%%2F/%s-classic -> 201", q)
			s.Record("PUT /api/policies/%%2F/%s-quorum -> 201", q)
			for _, c := range [][2]string{{"a", "classic"}, {"b", "quorum"}} {
				ch.Do(&wire.QueueDeclare{Queue: q + "-" + c[0], Durable: true, Arguments: T{"x-queue-type": c[1]}})
				s.Cleanup(func() { s.Connect().Channel().Do(&wire.QueueDelete{Queue: q + "-" + c[0]}) })
			}
			s.Put(q+"-a", "1", "2", "3")
			s.Put(q+"-b", "1", "2", "3")
			ch.Await(q+"-a", 1, 0)
			ch.Await(q+"-b", 2, 0)
		}},
	}
}

// told records what the management API says of a queue's policies.
func told(s *S, queue string) {
	r := s.HTTP("GET", "/api/queues/%2F/"+queue, nil)
	effective := r.Field("effective_policy_definition")
	if m, ok := effective.(map[string]any); effective == nil || ok && len(m) == 0 {
		effective = "none"
	} else if list, ok := effective.([]any); ok && len(list) == 0 {
		effective = "none" // as RabbitMQ writes an object without fields
	}
	s.Record("policy %v, operator policy %v, effective %v", r.Field("policy"), r.Field("operator_policy"), effective)
}

// livePolicies is K4 and K5: what a policy does to a queue that is there.
func livePolicies() []Scenario {
	return slices.Concat(livePolicyOfMessages(), livePolicyOfQueues(), changedPolicies())
}

// livePolicyOfMessages is K4 and K5: times and lengths that a policy brings.
func livePolicyOfMessages() []Scenario {
	return []Scenario{
		{Name: "K5,K4/message-ttl of messages that come", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"message-ttl": 100})
			applied(s, q)
			s.Put(q, "1", "2")
			ch.Await(q, 0, 0)
		}},
		{Name: "K5,Q6/message-ttl of messages that are there", Kinds: Everywhere(), Differs: "Q6", Delta: `
			- c1.1 < queue.declare-ok queue=q message-count=2 consumer-count=0
			+ c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			s.Policy(q, "queues", 0, T{"message-ttl": 100})
			s.Pause(1500 * time.Millisecond)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "K5,K4/max-length drops what is too much", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			s.Policy(q, "queues", 0, T{"max-length": 1})
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "K5,K4/max-length-bytes drops what is too much", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "12345", "12345", "12345")
			s.Policy(q, "queues", 0, T{"max-length-bytes": 10})
			ch.Await(q, 2, 0)
		}},
		{Name: "K5,K4,J4/max-length dead-letters what is too much", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch, dead, q := grave(s, nil)
			s.Put(q, "1", "2")
			s.Policy(q, "queues", 0, T{"max-length": 1})
			ch.Await(q, 1, 0)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "K5,K4/expires of a queue that nobody uses", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"expires": 300})
			s.Pause(900 * time.Millisecond) // asking renews it
			s.Gone(q)
		}},
		{Name: "K5,K4/expires does not take a queue with a consumer", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", nil)
			s.Policy(q, "queues", 0, T{"expires": 300})
			s.Pause(1200 * time.Millisecond)
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
	}
}

// livePolicyOfQueues is K4 and K5: what else a policy brings.
func livePolicyOfQueues() []Scenario {
	return []Scenario{
		{Name: "K5,K4/dead-letter-exchange and dead-letter-routing-key", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead, q := ch.Queue("dead", nil), ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 2, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			s.Policy(q, "queues", 0, T{"dead-letter-exchange": "", "dead-letter-routing-key": dead})
			applied(s, q)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "K5,K4/dead-letter-exchange keeps the routing key", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			x, dead, q := ch.Exchange("x", "direct", nil), ch.Queue("dead", nil), ch.Queue("q", nil)
			ch.Bind(dead, x, q, nil)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			s.Policy(q, "queues", 0, T{"dead-letter-exchange": x})
			applied(s, q)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
		}},
		{Name: "K5,K4/overflow reject-publish", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			s.Policy(q, "queues", 0, T{"max-length": 1, "overflow": "reject-publish"})
			applied(s, q)
			ch.Confirm()
			ch.Publish("", q, P{}, "2")
			ch.Confirms(1)
			ch.Get(q)
		}},
		{Name: "K5,K4/overflow reject-publish-dlx", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			dead, q := ch.Queue("dead", nil), ch.Queue("q", nil)
			s.Put(q, "1")
			s.Policy(q, "queues", 0, T{"max-length": 1, "overflow": "reject-publish-dlx", "dead-letter-exchange": "", "dead-letter-routing-key": dead})
			applied(s, q)
			ch.Confirm()
			ch.Publish("", q, P{}, "2")
			ch.Confirms(1)
			ch.Await(dead, 1, 0)
			ch.Await(q, 1, 0)
		}},
		{Name: "K5,K4,J12/delivery-limit", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := s.Name("dead")
			ch.Do(&wire.QueueDeclare{Queue: dead, Durable: true})
			q := ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			s.Policy(q, "queues", 0, T{"delivery-limit": 1})
			applied(s, q)
			for range 2 {
				ch.Reject(ch.Get(q).Tag(), true)
				s.Eventually("it is somewhere", func() bool {
					for _, name := range []string{q, dead} {
						if d, ok := ch.Do(&wire.QueueDeclare{Queue: name, Passive: true}).Method.(*wire.QueueDeclareOk); ok && d.MessageCount == 1 {
							return true
						}
					}
					return false
				})
			}
			ch.Await(dead, 1, 0)
			ch.Get(q)
		}},
	}
}

// changedPolicies is K5: policies that change and go.
func changedPolicies() []Scenario {
	return []Scenario{
		{Name: "K5/a policy that is changed", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1", "2", "3", "4")
			s.Policy(q, "queues", 0, T{"max-length": 3})
			ch.Await(q, 3, 0)
			s.Policy(q, "queues", 0, T{"max-length": 1})
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "K5/a policy that is taken away", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"max-length": 1})
			s.Put(q, "1", "2")
			ch.Await(q, 1, 0)
			s.HTTP("DELETE", "/api/policies/%2F/"+q+"-0", nil)
			s.Eventually("there is room for more", func() bool {
				s.Put(q, "more")
				return counts(ch, q) > 1
			})
		}},
		{Name: "K5,J1/a time to live that is taken away", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"message-ttl": 700})
			applied(s, q)
			s.HTTP("DELETE", "/api/policies/%2F/"+q+"-0", nil)
			hasPolicy(s, q, "policy", false)
			s.Put(q, "stays")
			s.Pause(1200 * time.Millisecond)
			ch.Do(&wire.QueueDeclare{Queue: q, Passive: true})
		}},
		{Name: "K5,K4,D9/alternate-exchange comes and goes", Run: func(s *S) {
			ch := s.Connect().Channel()
			ae, x, q := ch.Exchange("ae", "fanout", nil), ch.Exchange("x", "direct", nil), ch.Queue("q", nil)
			ch.Bind(q, ae, "", nil)
			s.PutWith(x, "k", P{}, "1")
			s.Policy(x, "exchanges", 0, T{"alternate-exchange": ae})
			s.PutWith(x, "k", P{}, "2")
			ch.Await(q, 1, 0)
			s.HTTP("DELETE", "/api/policies/%2F/"+x+"-0", nil)
			s.PutWith(x, "k", P{}, "3")
			ch.Get(q)
			ch.Get(q)
		}},
		{Name: "K4,D9,K3/an argument is before a policy's alternate-exchange", Run: func(s *S) {
			ch := s.Connect().Channel()
			ae, other := ch.Exchange("ae", "fanout", nil), ch.Exchange("other", "fanout", nil)
			q, p := ch.Queue("q", nil), ch.Queue("p", nil)
			ch.Bind(q, ae, "", nil)
			ch.Bind(p, other, "", nil)
			x := ch.Exchange("x", "direct", T{"alternate-exchange": ae})
			s.Policy(x, "exchanges", 0, T{"alternate-exchange": other})
			s.PutWith(x, "k", P{}, "1")
			ch.Await(q, 1, 0)
			ch.Await(p, 0, 0)
		}},
		{Name: "K4,E24,E25/keys of old queues are taken", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"queue-mode": "lazy"})
			s.Policy(q, "queues", 1, T{"queue-mode": "default"})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
		}},
		{Name: "K4,O2/keys of mirrored queues are taken", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"ha-mode": "all", "ha-sync-mode": "automatic"})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
	}
}

// hasPolicy waits until every node says of a queue that it has a "policy" or an
// "operator_policy", or none. RabbitMQ's queues tell what they go by themselves,
// some seconds later: before it is waited for that one is gone, it has to be there.
func hasPolicy(s *S, queue, field string, has bool) {
	s.Agreed("/api/queues/%2F/"+queue, fmt.Sprintf("%s of %s: %v", field, queue, has),
		func(r Reply) bool { return (r.Field(field) != nil) == has })
}

// applied waits until a queue goes by a policy.
func applied(s *S, queue string) {
	s.Silently(func() { hasPolicy(s, queue, "policy", true) })
}

// policiesAndArguments is K3.
func policiesAndArguments() (list []Scenario) {
	for _, c := range []struct {
		key        string
		arg        any
		policy     any
		what       string
		afterwards int // messages that stay of five of four octets
	}{
		{"max-length", int32(2), 4, "the argument's is less", 2},
		{"max-length", int32(4), 2, "the policy's is less", 2},
		{"max-length-bytes", int32(8), 16, "the argument's is less", 2},
		{"max-length-bytes", int32(16), 8, "the policy's is less", 2},
		{"message-ttl", int32(100), 100000, "the argument's is less", 0},
		{"message-ttl", int32(100000), 100, "the policy's is less", 0},
	} {
		list = append(list, Scenario{Name: fmt.Sprintf("K3/%s where %s", c.key, c.what), Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.Policy(q, "queues", 0, T{c.key: c.policy})
			ch.Queue("q", T{"x-" + c.key: c.arg})
			s.Put(q, "1...", "2...", "3...", "4...", "5...")
			ch.Await(q, c.afterwards, 0)
		}})
	}
	return append(list, []Scenario{
		{Name: "K3/expires where the policy's is less", Kinds: Everywhere(), Run: func(s *S) {
			q := s.Name("q")
			s.Policy(q, "queues", 0, T{"expires": 300})
			s.Connect().Channel().Queue("q", T{"x-expires": int32(100000)})
			s.Pause(900 * time.Millisecond) // asking renews it
			s.Gone(q)
		}},
		{Name: "K3/expires where the argument's is less", Kinds: Everywhere(), Run: func(s *S) {
			q := s.Name("q")
			s.Policy(q, "queues", 0, T{"expires": 100000})
			s.Connect().Channel().Queue("q", T{"x-expires": int32(300)})
			s.Pause(900 * time.Millisecond) // asking renews it
			s.Gone(q)
		}},
		{Name: "K3/arguments are before a policy's dead-letter exchange and key", Kinds: Everywhere(), Run: func(s *S) {
			ch, dead, q := grave(s, nil)
			other := ch.Queue("other", nil)
			s.Policy(q, "queues", 0, T{"dead-letter-exchange": "amq.direct", "dead-letter-routing-key": other})
			applied(s, q)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
			ch.Await(other, 0, 0)
		}},
		{Name: "K3/a policy's key beside an argument's exchange", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			other := ch.Queue("other", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": ""})
			s.Policy(q, "queues", 0, T{"dead-letter-routing-key": other})
			applied(s, q)
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			ch.Reject(ch.Get(q).Tag(), false)
			ch.Await(other, 1, 0)
		}},
		{Name: "K3/a policy's overflow beside an argument's", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(1), "x-overflow": "reject-publish"})
			s.Policy(q, "queues", 0, T{"overflow": "drop-head"})
			applied(s, q)
			ch.Confirm()
			ch.Publish("", q, P{}, "1")
			ch.Confirms(1)
			ch.Publish("", q, P{}, "2")
			ch.Confirms(1)
			ch.Get(q)
		}},
		{Name: "K3/a policy's overflow beside a quorum queue's argument", Kinds: []Kind{RealQuorum}, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-max-length": int32(1), "x-overflow": "drop-head"})
			s.Policy(q, "queues", 0, T{"overflow": "reject-publish"})
			applied(s, q)
			ch.Confirm()
			var first string
			for _, b := range []string{"1", "2", "3", "4"} { // a quorum queue refuses a little later
				ch.Publish("", q, P{}, b)
				s.Silently(func() { ch.Confirms(1) })
			}
			s.Silently(func() { first = string(ch.Get(q).Body) }) // how many stay depends on when it began
			s.Record("%q stays", first)
		}},
	}...)
}

// operatorPolicies is K2.
func operatorPolicies() (list []Scenario) {
	for _, c := range []struct {
		user, operator any
		what           string
	}{
		{3, 1, "the operator's is less"},
		{1, 3, "the user's is less"},
		{nil, 1, "the user has none"},
	} {
		list = append(list, Scenario{Name: "K2/max-length where " + c.what, Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			if c.user != nil {
				s.Policy(q, "queues", 0, T{"max-length": c.user})
			}
			s.OperatorPolicy(q, "queues", 0, T{"max-length": c.operator})
			ch.Queue("q", nil)
			s.Put(q, "1", "2", "3", "4")
			ch.Await(q, 1, 0)
			ch.Get(q)
		}})
	}
	return append(list, []Scenario{
		{Name: "K2,K5/an operator's message-ttl is the least of three", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-message-ttl": int32(100000)})
			s.Policy(q, "queues", 0, T{"message-ttl": 90000})
			s.OperatorPolicy(q, "queues", 0, T{"message-ttl": 100})
			applied(s, q)
			s.Put(q, "1")
			ch.Await(q, 0, 0)
		}},
		{Name: "K2/both policies apply, of different keys", Kinds: Everywhere(), Upgrade: upgradeDeaths, Source: deathsSource, Run: func(s *S) {
			ch := s.Connect().Channel()
			dead, q := ch.Queue("dead", nil), s.Name("q")
			s.Policy(q, "queues", 0, T{"dead-letter-exchange": "", "dead-letter-routing-key": dead})
			s.OperatorPolicy(q, "queues", 0, T{"max-length": 1})
			ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 1, 0)
			ch.Await(dead, 1, 0)
			ch.Get(dead)
		}},
		{Name: "K2/an operator's policy is less than the argument", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.OperatorPolicy(q, "queues", 0, T{"max-length": 1})
			ch.Queue("q", T{"x-max-length": int32(3)})
			s.Put(q, "1", "2")
			ch.Await(q, 1, 0)
		}},
		{Name: "K2/an operator's expires", Kinds: Everywhere(), Run: func(s *S) {
			q := s.Name("q")
			s.Policy(q, "queues", 0, T{"expires": 100000})
			s.OperatorPolicy(q, "queues", 0, T{"expires": 300})
			s.Connect().Channel().Queue("q", nil)
			s.Pause(900 * time.Millisecond) // asking renews it
			s.Gone(q)
		}},
		{Name: "K2,K5/an operator's policy that is taken away", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.OperatorPolicy(q, "queues", 0, T{"max-length": 1})
			s.Policy(q, "queues", 0, T{"max-length": 3})
			ch.Queue("q", nil)
			s.Put(q, "1", "2")
			ch.Await(q, 1, 0)
			hasPolicy(s, q, "operator_policy", true)
			s.HTTP("DELETE", "/api/operator-policies/%2F/"+q+"-0", nil)
			hasPolicy(s, q, "operator_policy", false)
			s.Put(q, "3", "4", "5")
			ch.Await(q, 3, 0)
		}},
		{Name: "K2/of operators' policies the highest priority applies", Run: func(s *S) {
			ch := s.Connect().Channel()
			q := s.Name("q")
			s.OperatorPolicy(q, "queues", 1, T{"max-length": 1})
			s.OperatorPolicy(q, "queues", 2, T{"max-length": 2})
			ch.Queue("q", nil)
			s.Put(q, "1", "2", "3")
			ch.Await(q, 2, 0)
		}},
	}...)
}

// reasonsSource is where reasons is from.
const reasonsSource = "rabbit_mgmt_wm_policy.erl, accept_content/2, and rabbit_policy.erl, apply_to_validation/2 (main 5b09e55)"

// reasons rewrites why 3.10 refuses a policy, in HTML, to 4.x's words.
func reasons(line string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "should be 'queues', 'exchanges' or 'all'",
		"should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'").Replace(line)
}

// refusedPolicies are definitions that cannot be.
func refusedPolicies() (list []Scenario) {
	for _, c := range []struct {
		what string
		body T
	}{
		{"an unknown key", T{"pattern": ".*", "definition": T{"no-such-key": 1}}},
		{"an unknown key among others", T{"pattern": ".*", "definition": T{"max-length": 1, "no-such-key": 1}}},
		{"no keys", T{"pattern": ".*", "definition": T{}}},
		{"max-length in words", T{"pattern": ".*", "definition": T{"max-length": "many"}}},
		{"max-length below 0", T{"pattern": ".*", "definition": T{"max-length": -1}}},
		{"max-length-bytes in words", T{"pattern": ".*", "definition": T{"max-length-bytes": "many"}}},
		{"message-ttl below 0", T{"pattern": ".*", "definition": T{"message-ttl": -1}}},
		{"message-ttl with a fraction", T{"pattern": ".*", "definition": T{"message-ttl": 1.5}}},
		{"expires 0", T{"pattern": ".*", "definition": T{"expires": 0}}},
		{"overflow of another kind", T{"pattern": ".*", "definition": T{"overflow": "burst"}}},
		{"dead-letter-exchange that is a number", T{"pattern": ".*", "definition": T{"dead-letter-exchange": 1}}},
		{"dead-letter-routing-key that is a number", T{"pattern": ".*", "definition": T{"dead-letter-routing-key": 1}}},
		{"delivery-limit in words", T{"pattern": ".*", "definition": T{"delivery-limit": "few"}}},
		{"alternate-exchange that is a number", T{"pattern": ".*", "definition": T{"alternate-exchange": 1}}},
		{"queue-mode of another kind", T{"pattern": ".*", "definition": T{"queue-mode": "eager"}}},
		{"dead-letter-strategy of another kind", T{"pattern": ".*", "definition": T{"dead-letter-strategy": "exactly-once"}}},
		{"no pattern", T{"definition": T{"max-length": 1}}},
		{"a priority in words", T{"pattern": ".*", "priority": "high", "definition": T{"max-length": 1}}},
		{"another apply-to", T{"pattern": ".*", "apply-to": "topics", "definition": T{"max-length": 1}}},
	} {
		list = append(list, Scenario{Name: "K4,K5/a policy with " + c.what + " is refused", Upgrade: reasons, Source: reasonsSource, Run: func(s *S) {
			path := "/api/policies/%2F/" + s.Name("p")
			s.HTTP("PUT", path, c.body)
			s.HTTP("GET", path, nil)
		}})
	}
	for _, key := range []string{"dead-letter-exchange", "alternate-exchange", "queue-mode"} {
		list = append(list, Scenario{Name: "K2,K4/an operator's policy cannot have " + key, Run: func(s *S) {
			s.HTTP("PUT", "/api/operator-policies/%2F/"+s.Name("p"), T{"pattern": ".*", "definition": T{key: "default"}})
		}})
	}
	return append(list, Scenario{Name: "K1/a pattern that is none", Run: func(s *S) {
		status(s, "PUT", "/api/policies/%2F/"+s.Name("p"), T{"pattern": "(", "definition": T{"max-length": 1}})
	}}, Scenario{Name: "K1/a policy without a definition", Run: func(s *S) {
		status(s, "PUT", "/api/policies/%2F/"+s.Name("p"), T{"pattern": ".*"})
	}}, Scenario{Name: "K1,K6/a policy in no virtual host", Run: func(s *S) {
		status(s, "PUT", "/api/policies/"+s.Name("nowhere")+"/p", T{"pattern": ".*", "definition": T{"max-length": 1}})
	}})
}
