package routing

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/warrenmq/warren/broker/topology"
)

var seed = flag.Uint64("seed", 1, "seed of the random definitions")

// matches is what a topic pattern means, word for word.
func matches(pattern, key string) bool {
	words := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, ".")
	}
	var match func(p, k []string) bool
	match = func(p, k []string) bool {
		switch {
		case len(p) == 0:
			return len(k) == 0
		case p[0] == "#":
			return match(p[1:], k) || len(k) > 0 && match(p, k[1:])
		case len(k) == 0 || p[0] != "*" && p[0] != k[0]:
			return false
		}
		return match(p[1:], k[1:])
	}
	return match(words(pattern), words(key))
}

// model routes by looking at every binding of the topology.
func model(top *topology.Topology, vhost, exchange, key string, headers topology.Arguments) string {
	if top.Exchange(vhost, exchange) == nil {
		return "none"
	}
	queues, seen := make(map[string]bool), map[string]bool{exchange: true}
	for work := []string{exchange}; len(work) > 0; work = work[1:] {
		x := top.Exchange(vhost, work[0])
		found := false
		reach := func(name string) {
			if top.Exchange(vhost, name) != nil && !seen[name] {
				seen[name] = true
				work = append(work, name)
			}
		}
		if x.Name == "" && top.Queue(vhost, key) != nil {
			found, queues[key] = true, true
		}
		for _, b := range top.BindingsFrom(vhost, x.Name) {
			switch x.Type {
			case topology.Direct:
				if b.RoutingKey != key {
					continue
				}
			case topology.Topic:
				if !matches(b.RoutingKey, key) {
					continue
				}
			case topology.Headers:
				if !modelHeaders(b.Arguments, headers) {
					continue
				}
			}
			found = true
			if b.ToExchange {
				reach(b.Destination)
			} else {
				queues[b.Destination] = true
			}
		}
		if alternate, ok := x.AlternateExchange(); ok && alternate != "" && !found {
			reach(alternate)
		}
	}
	var names []string
	for q := range queues {
		names = append(names, q)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func modelHeaders(args, headers topology.Arguments) bool {
	match, _ := args["x-match"].(string)
	met, asked := 0, 0
	for k, v := range args {
		if k == "x-match" || strings.HasPrefix(k, "x-") && !strings.HasSuffix(match, "-with-x") {
			continue
		}
		asked++
		if h, ok := headers[k]; ok && (v == nil || topology.SameValue(h, v)) {
			met++
		}
	}
	if strings.HasPrefix(match, "any") {
		return met > 0
	}
	return met == asked
}

func randomKey(r *rand.Rand, words ...string) string {
	key := make([]string, r.IntN(5))
	for i := range key {
		key[i] = words[r.IntN(len(words))]
	}
	return strings.Join(key, ".")
}

func randomHeaders(r *rand.Rand) topology.Arguments {
	args := make(topology.Arguments)
	for range r.IntN(3) {
		args[[]string{"a", "b", "x-c"}[r.IntN(3)]] = []any{nil, int32(1), int64(1), "1"}[r.IntN(4)]
	}
	return args
}

// randomChange is a command on a few names.
func randomChange(r *rand.Rand) topology.Command {
	exchange := func() string { return []string{"amq.topic", "amq.headers", "a", "b", "c", "d", "e"}[r.IntN(7)] }
	queue := func() string { return []string{"q1", "q2", "q3", "a", "b.a"}[r.IntN(5)] }
	binding := func() topology.Binding {
		b := topology.Binding{VHost: "/", Source: exchange(), Destination: queue(), RoutingKey: randomKey(r, "a", "b", "*", "#")}
		if r.IntN(2) == 0 {
			b.Arguments = randomHeaders(r)
			if r.IntN(2) == 0 {
				b.Arguments["x-match"] = []any{"all", "any", "all-with-x", "any-with-x"}[r.IntN(4)]
			}
		}
		if r.IntN(4) == 0 {
			b.ToExchange, b.Destination = true, exchange()
		}
		return b
	}
	switch n := r.IntN(100); {
	case n < 15:
		x := topology.Exchange{VHost: "/", Name: exchange(), AutoDelete: r.IntN(3) == 0,
			Type: []string{topology.Direct, topology.Fanout, topology.Topic, topology.Headers}[r.IntN(4)]}
		if r.IntN(2) == 0 {
			x.Arguments = topology.Arguments{"alternate-exchange": []string{exchange(), ""}[r.IntN(2)]}
		}
		return topology.DeclareExchange{Exchange: x}
	case n < 20:
		return topology.DeleteExchange{VHost: "/", Name: exchange()}
	case n < 30:
		return topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: queue()}}
	case n < 35:
		return topology.DeleteQueue{VHost: "/", Name: queue()}
	case n < 36:
		return []topology.Command{topology.DeleteVHost{Name: "/"}, topology.DeclareVHost{VHost: topology.VHost{Name: "/"}}}[r.IntN(2)]
	case n < 75:
		return topology.Bind{Binding: binding()}
	default:
		return topology.Unbind{Binding: binding()}
	}
}

// TestTableAndCacheFollowTheModel compares, after every change, a table that follows
// the changes and a cache that is never emptied with the model.
func TestTableAndCacheFollowTheModel(t *testing.T) {
	for s := *seed; s < *seed+4; s++ {
		r := rand.New(rand.NewPCG(s, s))
		f := newFixture(t)
		cache := NewCache(f.table, "/")
		changed := 0
		for i := range 3000 {
			c := randomChange(r)
			if c, ok := c.(topology.DeleteVHost); ok {
				f.apply(c)
				f.apply(topology.DeclareVHost{VHost: topology.VHost{Name: "/"}})
			}
			if res, err := f.top.Apply(c); err == nil {
				f.table.Apply(res.Changes)
				changed += len(res.Changes)
			}
			if i%500 == 499 { // a follower that starts again
				f.table.Apply(f.top.Contents())
			}
			for range 6 {
				exchange := []string{"", "amq.topic", "amq.headers", "a", "b", "c", "d", "e"}[r.IntN(8)]
				key, headers := randomKey(r, "a", "b"), randomHeaders(r)
				want := model(f.top, "/", exchange, key, headers)
				if got := f.route(exchange, key, headers); got != want {
					t.Fatalf("seed %d, step %d, %+v: Route(%q, %q, %v) = %q, want %q", s, i, c, exchange, key, headers, got, want)
				}
				got := "none"
				if r := cache.Route(exchange, key, nil, message{headers: headers}); r.Exchange != nil {
					got = f.names(r.Queues)
				}
				if got != want {
					t.Fatalf("seed %d, step %d, %+v: cached Route(%q, %q, %v) = %q, want %q", s, i, c, exchange, key, headers, got, want)
				}
			}
		}
		if changed < 300 {
			t.Errorf("seed %d: only %d changes", s, changed)
		}
	}
}

func FuzzTopic(f *testing.F) {
	f.Add("a.#\n#.a.*\n*.#.#", "a.b.a")
	f.Add("#.a.#.a.#\n#", "a.a.a.a")
	f.Fuzz(func(t *testing.T, patterns, key string) {
		if len(patterns) > 60 || len(key) > 24 { // the reference takes exponential time
			return
		}
		fix := newFixture(t)
		var want []string
		list := strings.Split(patterns, "\n")
		for i, pattern := range list {
			name := fmt.Sprint("q", i)
			fix.queue(name)
			fix.bind("amq.topic", name, pattern, nil)
			if matches(pattern, key) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if got := fix.route("amq.topic", key, nil); got != strings.Join(want, " ") {
			t.Fatalf("patterns %q, key %q: got %q, want %q", list, key, got, want)
		}
		for i := range list {
			fix.apply(topology.DeleteQueue{VHost: "/", Name: fmt.Sprint("q", i)})
		}
		if root := fix.table.vhosts["/"].exchanges["amq.topic"].matcher.(*topic); !root.root.useless() {
			t.Fatalf("patterns %q left nodes behind", list)
		}
	})
}
