package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// share counts where messages with n different keys go.
func (f *fixture) share(exchange string, n int, m func(i int) Message) map[string]int {
	f.Helper()
	counts := make(map[string]int)
	for i := range n {
		r := f.table.Route("/", exchange, fmt.Sprint("key-", i), nil, m(i))
		counts[f.names(r.Queues)]++
	}
	return counts
}

func noMessage(int) Message { return nil }

func TestConsistentHash(t *testing.T) {
	f := newFixture(t)
	f.exchange("h", topology.ConsistentHash, nil)
	if got := f.route("h", "k", nil); got != "" {
		t.Errorf("without bindings: %q", got)
	}
	for i, weight := range []string{"1", "2", "1"} {
		name := fmt.Sprint("q", i)
		f.queue(name)
		f.bind("h", name, weight, nil)
	}
	f.bind("h", "q0", "9", nil) // a second binding to a place does not count
	const n = 8000
	got := f.share("h", n, noMessage)
	for name, want := range map[string]int{"q0": n / 4, "q1": n / 2, "q2": n / 4} {
		if got[name] < want*9/10 || got[name] > want*11/10 {
			t.Errorf("%s has %d of %d messages, want about %d", name, got[name], n, want)
		}
	}
	where := func() []string {
		list := make([]string, n)
		for i := range list {
			list[i] = f.route("h", fmt.Sprint("key-", i), nil)
		}
		return list
	}
	before := where()
	restarted := newFixture(t)
	restarted.top = f.top
	restarted.table.Apply(f.top.Contents())
	f.table, restarted.table = restarted.table, f.table
	if !slices.Equal(before, where()) {
		t.Error("a node that started again leads elsewhere")
	}
	f.queue("new")
	f.bind("h", "new", "1", nil)
	moved := 0
	for i, name := range where() {
		if name != before[i] {
			moved++
			if name != "new" {
				t.Fatalf("a new place moved a message from %s to %s", before[i], name)
			}
		}
	}
	if moved < n/5*9/10 || moved > n/5*11/10 {
		t.Errorf("a fifth of the places took %d of %d messages", moved, n)
	}
	f.unbind("h", "new", "1", nil)
	if !slices.Equal(before, where()) {
		t.Error("a place that came and went has left something behind")
	}
	f.unbind("h", "q0", "1", nil)
	if got := f.share("h", n, noMessage)["q0"]; got < n/2 {
		t.Errorf("with its first binding gone, the second counts: %d of %d", got, n)
	}
}

func TestHashOfHeadersAndProperties(t *testing.T) {
	f := newFixture(t)
	f.exchange("header", topology.ConsistentHash, topology.Arguments{"hash-header": "id"})
	f.exchange("property", topology.ConsistentHash, topology.Arguments{"hash-property": "message_id"})
	for i := range 8 {
		name := fmt.Sprint("q", i)
		f.queue(name)
		f.bind("header", name, "1", nil)
		f.bind("property", name, "1", nil)
	}
	for _, tt := range []struct {
		name, exchange string
		message        func(i int) Message
		places         int
	}{
		{"equal headers go together", "header", func(int) Message { return message{headers: topology.Arguments{"id": "7"}} }, 1},
		{"different headers do not", "header", func(i int) Message { return message{headers: topology.Arguments{"id": strconv.Itoa(i)}} }, 8},
		{"numbers are headers, too", "header", func(i int) Message { return message{headers: topology.Arguments{"id": int32(i)}} }, 8},
		{"a number's width is nothing", "header", func(i int) Message {
			return message{headers: topology.Arguments{"id": []any{int8(7), uint16(7), int64(7)}[i%3]}}
		}, 1},
		{"messages without the header go together", "header", noMessage, 1},
		{"equal properties go together", "property", func(int) Message { return message{properties: map[string]string{"message_id": "x"}} }, 1},
		{"different properties do not", "property", func(i int) Message {
			return message{properties: map[string]string{"message_id": strconv.Itoa(i)}}
		}, 8},
	} {
		got := f.share(tt.exchange, 400, tt.message)
		if len(got) != tt.places || got[""] > 0 {
			t.Errorf("%s: %v, want %d places", tt.name, got, tt.places)
		}
	}
	c := NewCache(f.table, "/")
	for range 2 * admitEvery {
		a := f.names(c.Route("header", "k", nil, message{headers: topology.Arguments{"id": "1"}}).Queues)
		b := f.names(c.Route("header", "k", nil, message{headers: topology.Arguments{"id": "4"}}).Queues)
		if a == b {
			t.Fatalf("a cache keeps what a header decides: %s %s", a, b)
		}
	}
}

func TestModulusHash(t *testing.T) {
	f := newFixture(t)
	f.exchange("m", topology.ModulusHash, nil)
	for i := range 4 {
		f.queue(fmt.Sprint("q", i))
		f.bind("m", fmt.Sprint("q", i), fmt.Sprint("whatever ", i), nil)
	}
	f.bind("m", "q0", "again", nil)
	got := f.share("m", 4000, noMessage)
	for name, n := range got {
		if n < 900 || n > 1100 || len(got) != 4 {
			t.Errorf("%s has %d of 4000 messages: %v", name, n, got)
		}
	}
	f.unbind("m", "q0", "again", nil)
	if again := f.share("m", 4000, noMessage); fmt.Sprint(again) != fmt.Sprint(got) {
		t.Errorf("one of two bindings gone: %v, want %v", again, got)
	}
	f.unbind("m", "q0", "whatever 0", nil)
	if got := f.share("m", 400, noMessage); len(got) != 3 {
		t.Errorf("a place without bindings has messages: %v", got)
	}
}

func TestRandomAndLocal(t *testing.T) {
	f := newFixture(t)
	rng := rand.New(rand.NewPCG(*seed, 1))
	f.table.cfg.Random = rng.IntN
	here := make(map[queue.ID]bool)
	f.table.cfg.Local = func(id queue.ID) bool { return here[id] }
	f.exchange("r", topology.Random, nil)
	f.exchange("l", topology.LocalRandom, topology.Arguments{"alternate-exchange": "rest"})
	f.exchange("rest", topology.Fanout, nil)
	for i := range 4 {
		name := fmt.Sprint("q", i)
		here[f.queue(name)] = i < 2
		f.bind("r", name, "any", nil)
		f.bind("l", name, "", nil)
	}
	f.queue("rest")
	f.bind("rest", "rest", "", nil)
	if got := f.share("r", 4000, noMessage); len(got) != 4 || got["q0"] < 900 || got["q3"] < 900 {
		t.Errorf("x-random: %v", got)
	}
	if got := f.share("l", 4000, noMessage); len(got) != 2 || got["q0"] < 1800 || got["q1"] < 1800 {
		t.Errorf("x-local-random: %v", got)
	}
	clear(here)
	if got := f.route("l", "k", nil); got != "rest" {
		t.Errorf("no queue is here: %q", got)
	}
	c := NewCache(f.table, "/")
	seen := make(map[string]bool)
	for range 200 {
		seen[f.names(c.Route("r", "k", nil, nil).Queues)] = true
	}
	if len(seen) != 4 {
		t.Errorf("a cache decides what chance should: %v", seen)
	}
	for _, exchange := range []string{"r", "l"} {
		for i := range 4 {
			f.unbind(exchange, fmt.Sprint("q", i), map[string]string{"r": "any"}[exchange], nil)
		}
	}
	if got := f.route("r", "k", nil); got != "" {
		t.Errorf("without bindings: %q", got)
	}
}

func TestDelayed(t *testing.T) {
	f := newFixture(t)
	f.exchange("late", topology.Delayed, topology.Arguments{"x-delayed-type": topology.Direct, "alternate-exchange": "amq.fanout"})
	f.exchange("both", topology.Fanout, nil)
	f.queue("now")
	f.queue("then")
	f.queue("lost")
	f.bind("amq.fanout", "lost", "", nil)
	f.bind("late", "then", "k", nil)
	f.bind("both", "now", "", nil)
	f.link("both", "late", "")
	waiting := f.top.Exchange("/", "late").DelayQueue
	for _, tt := range []struct {
		name, exchange, key string
		delay               any
		queues              string
		wait                time.Duration
	}{
		{"a delay waits", "late", "k", int32(1500), "", 1500 * time.Millisecond},
		{"a delay waits, whether it can be routed or not", "late", "none", int32(1500), "", 1500 * time.Millisecond},
		{"no delay", "late", "k", nil, "then", 0},
		{"no delay and no queue", "late", "none", nil, "lost", 0},
		{"a negative delay is none", "late", "k", int64(-5), "then", 0},
		{"a delay of zero is none", "late", "k", uint8(0), "then", 0},
		{"a delay may be text", "late", "k", "20", "", 20 * time.Millisecond},
		{"a delay may be a fraction", "late", "k", 20.9, "", 20 * time.Millisecond},
		{"a delay that is no number is none", "late", "k", "soon", "then", 0},
		{"a delay of fifty days is none", "late", "k", int64(1 << 32), "then", 0},
		{"some go on and some wait", "both", "k", int32(1), "now", time.Millisecond},
		{"elsewhere the header means nothing", "amq.fanout", "k", int32(1), "lost", 0},
	} {
		m := message{headers: topology.Arguments{"x-delay": tt.delay}}
		r := f.table.Route("/", tt.exchange, tt.key, nil, m)
		want := []queue.ID{waiting}
		if tt.wait == 0 {
			want = nil
		}
		if got := f.names(r.Queues); got != tt.queues || r.Delay != tt.wait || !slices.Equal(r.Delayed, want) || r.Unroutable() {
			t.Errorf("%s: %q and %v after %v, want %q and %v after %v", tt.name, got, r.Delayed, r.Delay, tt.queues, want, tt.wait)
		}
		if tt.exchange == "late" && tt.wait > 0 {
			want := map[string]string{"k": "then", "none": "lost"}[tt.key]
			if r := f.table.RouteDelayed("/", "late", tt.key, nil, m); f.names(r.Queues) != want || len(r.Delayed) > 0 {
				t.Errorf("%s: then %q and %v, want %q", tt.name, f.names(r.Queues), r.Delayed, want)
			}
		}
	}
	if got := f.route("", "amq.delayed.late", nil); got != "" {
		t.Errorf("the default exchange leads to a hidden queue: %q", got)
	}
}

func TestRecentHistory(t *testing.T) {
	f := newFixture(t)
	f.exchange("last", topology.RecentHistory, nil)
	history := f.top.Exchange("/", "last").HistoryQueue
	r := f.table.Route("/", "last", "k", nil, nil)
	if !slices.Equal(r.Queues, []queue.ID{history}) || r.Silent != 1 || !r.Unroutable() {
		t.Errorf("without bindings: %+v", r)
	}
	q := f.queue("q")
	f.bind("last", "q", "whatever", nil)
	r = f.table.Route("/", "last", "k", nil, nil)
	if !slices.Equal(r.Queues, []queue.ID{q, history}) || r.Silent != 1 || r.Unroutable() {
		t.Errorf("with a binding: %+v", r)
	}
	r = f.table.Route("/", "last", "k", nil, message{headers: topology.Arguments{"x-recent-history-no-store": true}})
	if !slices.Equal(r.Queues, []queue.ID{q}) || r.Silent != 0 {
		t.Errorf("not to be stored: %+v", r)
	}
}

func TestFurtherKeys(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"a", "b", "c"} {
		f.queue(name)
		f.bind("amq.direct", name, name, nil)
		f.bind("amq.topic", name, "*."+name, nil)
	}
	f.exchange("r", topology.Random, nil)
	f.bind("r", "a", "", nil)
	f.bind("r", "b", "", nil)
	c := NewCache(f.table, "/")
	for _, tt := range []struct{ exchange, key, also, want string }{
		{"", "a", "b", "a b"},
		{"", "none", "b", "b"},
		{"amq.direct", "a", "a", "a"},
		{"amq.direct", "a", "c", "a c"},
		{"amq.topic", "x.c", "x.b", "b c"},
		{"r", "a", "b", "a"},
	} {
		for range 2 * admitEvery {
			if got := f.names(c.Route(tt.exchange, tt.key, []string{tt.also}, nil).Queues); got != tt.want {
				t.Errorf("Route(%q, %q and %q) = %q, want %q", tt.exchange, tt.key, tt.also, got, tt.want)
			}
			c.Route(tt.exchange, tt.key, nil, nil)
		}
	}
}

func TestAlternateByPolicy(t *testing.T) {
	f := newFixture(t)
	c := NewCache(f.table, "/")
	f.queue("q")
	f.exchange("x", topology.Direct, nil)
	f.bind("amq.fanout", "q", "", nil)
	f.bind("x", "q", "k", nil)
	set := func(ae string) {
		f.apply(topology.SetPolicy{VHost: "/", Policy: policy.Policy{Name: "p", Pattern: "^x$", ApplyTo: policy.Exchanges,
			Definition: map[string]any{"alternate-exchange": ae}}})
	}
	for _, step := range []struct {
		name   string
		change func()
		want   string
	}{
		{"no policy", func() {}, ""},
		{"a policy", func() { set("amq.fanout") }, "q"},
		{"another", func() { set("amq.direct") }, ""},
		{"the first again", func() { set("amq.fanout") }, "q"},
		{"none", func() { f.apply(topology.ClearPolicy{VHost: "/", Name: "p"}) }, ""},
	} {
		step.change()
		for range 2 * admitEvery {
			if got := c.names(f, "x", "none"); got != step.want {
				t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
			if got := c.names(f, "x", "k"); got != "q" {
				t.Errorf("%s: the binding led to %q", step.name, got)
			}
		}
	}
	if n := len(f.table.vhosts["/"].alternates); n != 0 {
		t.Errorf("%d alternates are left behind", n)
	}
}
