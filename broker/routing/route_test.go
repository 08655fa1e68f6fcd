package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// fixture is a topology with the table that follows it.
type fixture struct {
	testing.TB
	top   *topology.Topology
	table *Table
}

// message is a Message of values.
type message struct {
	headers    topology.Arguments
	properties map[string]string
	calls      *int
}

func (m message) Headers() topology.Arguments {
	if m.calls != nil {
		*m.calls++
	}
	return m.headers
}

func (m message) Property(name string) (string, bool) {
	value, ok := m.properties[name]
	return value, ok
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t, topology.New(), NewTable(Config{})}
	f.table.Apply(f.top.Contents())
	return f
}

func (f *fixture) apply(c topology.Command) topology.Result {
	f.Helper()
	r, err := f.top.Apply(c)
	if err != nil {
		f.Fatalf("Apply(%+v): %v", c, err)
	}
	f.table.Apply(r.Changes)
	return r
}

func (f *fixture) exchange(name, kind string, args topology.Arguments) {
	f.Helper()
	f.apply(topology.DeclareExchange{Exchange: topology.Exchange{VHost: "/", Name: name, Type: kind, Arguments: args}})
}

func (f *fixture) queue(name string) queue.ID {
	f.Helper()
	return f.apply(topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: name}}).Queue.ID
}

func (f *fixture) bind(source, queue, key string, args topology.Arguments) {
	f.Helper()
	f.apply(topology.Bind{Binding: topology.Binding{VHost: "/", Source: source, Destination: queue, RoutingKey: key, Arguments: args}})
}

func (f *fixture) unbind(source, queue, key string, args topology.Arguments) {
	f.Helper()
	f.apply(topology.Unbind{Binding: topology.Binding{VHost: "/", Source: source, Destination: queue, RoutingKey: key, Arguments: args}})
}

func (f *fixture) link(source, destination, key string) {
	f.Helper()
	f.apply(topology.Bind{Binding: topology.Binding{VHost: "/", Source: source, Destination: destination, ToExchange: true, RoutingKey: key}})
}

// route gives the names of the queues, sorted, "none" when the exchange is missing.
func (f *fixture) route(exchange, key string, headers topology.Arguments) string {
	f.Helper()
	calls := 0
	r := f.table.Route("/", exchange, key, nil, message{headers: headers, calls: &calls})
	if calls > 1 {
		f.Fatalf("Route(%q, %q): headers called %d times", exchange, key, calls)
	}
	if r.Exchange == nil {
		return "none"
	}
	return f.names(r.Queues)
}

func (f *fixture) names(ids []queue.ID) string {
	f.Helper()
	var names []string
	for _, id := range ids {
		q := f.top.QueueByID(id)
		if q == nil {
			f.Fatalf("queue %d does not exist", id)
		}
		names = append(names, q.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestTopicPatterns(t *testing.T) {
	for _, tt := range []struct {
		name, pattern, key string
		want               bool
	}{
		{"a word is itself", "a", "a", true},
		{"a word is no other", "a", "b", false},
		{"a pattern is no prefix", "a", "a.b", false},
		{"star is one word", "a.*", "a.b", true},
		{"star is not zero words", "a.*", "a", false},
		{"star is not two words", "a.*", "a.b.c", false},
		{"star is an empty word", "a.*", "a.", true},
		{"star in the middle", "a.*.c", "a.b.c", true},
		{"star alone is one word", "*", "a", true},
		{"star alone is not the empty key", "*", "", false},
		{"hash is zero words", "a.#", "a", true},
		{"hash is one word", "a.#", "a.b", true},
		{"hash is many words", "a.#", "a.b.c.d", true},
		{"hash alone is everything", "#", "a.b.c", true},
		{"hash alone is the empty key", "#", "", true},
		{"hash in front", "#.a", "x.y.a", true},
		{"hash in front is zero words", "#.a", "a", true},
		{"hash in front needs the end", "#.a", "a.b", false},
		{"hash in the middle is zero words", "a.#.b", "a.b", true},
		{"hash in the middle is many words", "a.#.b", "a.x.y.z.b", true},
		{"hash in the middle meets its end twice", "a.#.b", "a.b.x.b", true},
		{"hash in the middle without the end", "a.#.b", "a.x.y", false},
		{"hash hash is hash", "a.#.#.b", "a.b", true},
		{"hash star is at least one", "#.*", "", false},
		{"hash star is one", "#.*", "a", true},
		{"star hash is many", "*.#", "a.b.c", true},
		{"hash star hash is at least one", "#.*.#", "a", true},
		{"two hashes", "#.a.#", "x.a.y", true},
		{"two hashes around nothing", "#.a.#", "a", true},
		{"two hashes without the word", "#.a.#", "x.y", false},
		{"two hashes overlap", "#.a.#.a", "a", false},
		{"two hashes in a row of words", "#.a.#.a", "a.a", true},
		{"star behind hash and word", "#.a.*", "a.a", true},
		{"empty words count", "a..b", "a..b", true},
		{"empty words differ from none", "a..b", "a.b", false},
		{"the empty pattern is the empty key", "", "", true},
		{"the empty pattern is no word", "", "a", false},
		{"a lone dot is two empty words", ".", ".", true},
		{"wildcards in keys are words", "a.b", "a.*", false},
		{"star inside a word is no wildcard", "a*", "ab", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.queue("q")
			f.bind("amq.topic", "q", tt.pattern, nil)
			want := ""
			if tt.want {
				want = "q"
			}
			if got := f.route("amq.topic", tt.key, nil); got != want {
				t.Errorf("pattern %q, key %q: got %q, want %q", tt.pattern, tt.key, got, want)
			}
			if got := matches(tt.pattern, tt.key); got != tt.want {
				t.Errorf("reference: pattern %q, key %q: got %v, want %v", tt.pattern, tt.key, got, tt.want)
			}
			f.unbind("amq.topic", "q", tt.pattern, nil)
			if got := f.route("amq.topic", tt.key, nil); got != "" {
				t.Errorf("unbound: pattern %q, key %q: got %q", tt.pattern, tt.key, got)
			}
			root := f.table.vhosts["/"].exchanges["amq.topic"].matcher.(*topic)
			if !root.root.useless() || len(root.free) != root.slots {
				t.Errorf("pattern %q left nodes behind: %+v", tt.pattern, root)
			}
		})
	}
}

func TestHeadersMatch(t *testing.T) {
	type args = topology.Arguments
	for _, tt := range []struct {
		name    string
		binding args
		message args
		want    bool
	}{
		{"all is the default", args{"a": int32(1), "b": "x"}, args{"a": int32(1), "b": "x", "c": nil}, true},
		{"all misses one", args{"a": int32(1), "b": "x"}, args{"a": int32(1)}, false},
		{"all differs in one", args{"x-match": "all", "a": int32(1), "b": "x"}, args{"a": int32(1), "b": "y"}, false},
		{"all of nothing", nil, args{"a": int32(1)}, true},
		{"all of nothing without headers", nil, nil, true},
		{"any of nothing", args{"x-match": "any"}, args{"a": int32(1)}, false},
		{"any has one", args{"x-match": "any", "a": int32(1), "b": "x"}, args{"b": "x"}, true},
		{"any has none", args{"x-match": "any", "a": int32(1), "b": "x"}, args{"a": int32(2)}, false},
		{"all ignores x-", args{"x-a": int32(1)}, args{}, true},
		{"any ignores x-", args{"x-match": "any", "x-a": int32(1)}, args{"x-a": int32(1)}, false},
		{"all-with-x minds x-", args{"x-match": "all-with-x", "x-a": int32(1)}, args{}, false},
		{"all-with-x finds x-", args{"x-match": "all-with-x", "x-a": int32(1)}, args{"x-a": int32(1)}, true},
		{"any-with-x finds x-", args{"x-match": "any-with-x", "x-a": int32(1), "b": true}, args{"x-a": int32(1)}, true},
		{"void is presence", args{"a": nil}, args{"a": "whatever"}, true},
		{"void is no absence", args{"a": nil}, args{"b": "whatever"}, false},
		{"a void header is present", args{"a": nil}, args{"a": nil}, true},
		{"a void header equals no value", args{"a": "x"}, args{"a": nil}, false},
		{"integers of any width", args{"a": int64(1)}, args{"a": int8(1)}, true},
		{"an integer is no float", args{"a": int64(1)}, args{"a": float64(1)}, false},
		{"floats of any width", args{"a": float32(0.5)}, args{"a": float64(0.5)}, true},
		{"a string is no integer", args{"a": "1"}, args{"a": int32(1)}, false},
		{"a boolean", args{"a": true}, args{"a": true}, true},
		{"a table", args{"a": args{"b": int32(1)}}, args{"a": args{"b": int64(1)}}, true},
		{"an array", args{"a": []any{"x"}}, args{"a": []any{"y"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.queue("q")
			f.queue("other")
			f.bind("amq.headers", "other", "", topology.Arguments{"never": "there"})
			f.bind("amq.headers", "q", "", tt.binding)
			want := ""
			if tt.want {
				want = "q"
			}
			if got := f.route("amq.headers", "ignored", tt.message); got != want {
				t.Errorf("binding %v, message %v: got %q, want %q", tt.binding, tt.message, got, want)
			}
			f.unbind("amq.headers", "other", "", topology.Arguments{"never": "there"})
			if got := f.route("amq.headers", "", tt.message); got != want {
				t.Errorf("binding %v, message %v, alone: got %q, want %q", tt.binding, tt.message, got, want)
			}
		})
	}
}

func TestExchangesOfOtherKinds(t *testing.T) {
	f := newFixture(t)
	for _, q := range []string{"a", "b", "c", "amq.topic"} {
		f.apply(topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: q}, ServerNamed: true})
	}
	f.exchange("cycle1", topology.Fanout, nil)
	f.exchange("cycle2", topology.Fanout, topology.Arguments{"alternate-exchange": "amq.fanout"})
	f.exchange("alt", topology.Direct, topology.Arguments{"alternate-exchange": "cycle1"})
	f.exchange("loop", topology.Direct, topology.Arguments{"alternate-exchange": "loop"})
	f.exchange("todefault", topology.Direct, topology.Arguments{"alternate-exchange": ""})
	f.exchange("nowhere", topology.Direct, topology.Arguments{"alternate-exchange": "missing"})
	f.exchange("empty", topology.Direct, nil)
	f.exchange("via", topology.Direct, topology.Arguments{"alternate-exchange": "cycle1"})
	f.bind("amq.direct", "a", "k", nil)
	f.bind("amq.direct", "b", "k", nil)
	f.bind("amq.direct", "b", "k", topology.Arguments{"again": true})
	f.bind("amq.direct", "c", "l", nil)
	f.bind("amq.fanout", "c", "k", nil)
	f.bind("amq.topic", "a", "x.*", nil)
	f.bind("amq.topic", "a", "x.#", nil)
	f.bind("amq.topic", "a", "#", nil)
	f.bind("amq.topic", "b", "*.y", nil)
	f.link("cycle1", "cycle2", "")
	f.link("cycle2", "cycle1", "")
	f.bind("cycle2", "a", "", nil)
	f.link("cycle2", "amq.direct", "")
	f.bind("alt", "b", "k", nil)
	f.link("via", "empty", "k")

	for _, tt := range []struct{ name, exchange, key, want string }{
		{"the default exchange leads to the queue of that name", "", "a", "a"},
		{"the default exchange knows no other name", "", "d", ""},
		{"direct leads by the key", "amq.direct", "k", "a b"},
		{"direct knows no pattern", "amq.direct", "#", ""},
		{"fanout leads everywhere", "amq.fanout", "whatever", "c"},
		{"topic leads to a queue once", "amq.topic", "x.y", "a b"},
		{"cycles end", "cycle1", "l", "a c"},
		{"cycles end where they are entered", "cycle2", "l", "a c"},
		{"an alternate exchange is not used for what is routed", "alt", "k", "b"},
		{"an alternate exchange takes the rest", "alt", "l", "a c"},
		{"an exchange may be its own alternate", "loop", "k", ""},
		{"the default exchange has no bindings, and is no alternate", "todefault", "c", ""},
		{"a missing alternate is ignored", "nowhere", "k", ""},
		{"a destination that routes nowhere is a destination", "via", "k", ""},
		{"without a destination the alternate is used", "via", "l", "a c"},
		{"there is no such exchange", "missing", "k", "none"},
	} {
		if got := f.route(tt.exchange, tt.key, nil); got != tt.want {
			t.Errorf("%s: Route(%q, %q) = %q, want %q", tt.name, tt.exchange, tt.key, got, tt.want)
		}
	}
	if r := f.table.Route("v", "", "a", nil, nil); r.Exchange != nil {
		t.Error("a missing vhost has a default exchange")
	}
	if x := f.table.Exchange("/", "alt"); x != f.top.Exchange("/", "alt") || f.table.Exchange("/", "missing") != nil {
		t.Errorf("Exchange = %+v", x)
	}
	f.unbind("amq.direct", "b", "k", nil)
	if got := f.route("amq.direct", "k", nil); got != "a b" {
		t.Errorf("with one of two equal bindings gone: %q, want %q", got, "a b")
	}
	f.unbind("amq.direct", "b", "k", topology.Arguments{"again": true})
	if got := f.route("amq.direct", "k", nil); got != "a" {
		t.Errorf("with both gone: %q, want %q", got, "a")
	}
}

func TestManyExchangesOnOneWay(t *testing.T) {
	f := newFixture(t)
	f.queue("q")
	for i := range 100 {
		f.exchange(fmt.Sprint("x", i), topology.Fanout, nil)
		f.bind(fmt.Sprint("x", i), "q", "", nil)
	}
	for i := range 100 {
		for _, step := range []int{1, 7, 50} {
			f.link(fmt.Sprint("x", i), fmt.Sprint("x", (i+step)%100), "")
		}
	}
	f.bind("amq.direct", "q", "k", nil)
	f.link("x99", "amq.direct", "")
	if got := f.route("x0", "k", nil); got != "q" {
		t.Errorf("got %q, want one q", got)
	}
}

func TestVersionChangesWithEveryChange(t *testing.T) {
	f := newFixture(t)
	before := f.table.Version()
	f.queue("q")
	if f.table.Version() == before {
		t.Error("the version stayed")
	}
	before = f.table.Version()
	f.table.Apply(nil)
	if f.table.Version() != before {
		t.Error("nothing changed the version")
	}
}
