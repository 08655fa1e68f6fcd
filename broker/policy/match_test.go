package policy

import (
	"math/rand/v2"
	"testing"
)

func TestMatch(t *testing.T) {
	named := func(name, pattern string, priority int64, a ApplyTo, keys ...string) *Policy {
		p := &Policy{Name: name, Pattern: pattern, Priority: priority, ApplyTo: a, Definition: map[string]any{"max-length-bytes": int64(1)}}
		for _, k := range keys {
			p.Definition[k] = "all"
		}
		return p
	}
	for _, c := range []struct {
		name     string
		policies []*Policy
		kind     Kind
		of, want string
	}{
		{"nothing", nil, ClassicQueue, "q", ""},
		{"the pattern is looked for anywhere", []*Policy{named("p", "rde", 0, All)}, ClassicQueue, "orders", "p"},
		{"the highest priority", []*Policy{named("low", "", -1, All), named("high", "", 7, All), named("zero", "", 0, All)}, QuorumQueue, "q", "high"},
		{"of equals the first by name", []*Policy{named("b", "", 1, All), named("a", "", 1, All)}, ClassicQueue, "q", "a"},
		{"queues are no exchanges", []*Policy{named("p", "", 0, Queues)}, Exchange, "x", ""},
		{"exchanges are no queues", []*Policy{named("p", "", 0, Exchanges)}, ClassicQueue, "q", ""},
		{"classic ones alone", []*Policy{named("p", "", 0, ClassicQueues)}, QuorumQueue, "q", ""},
		{"quorum ones alone", []*Policy{named("p", "", 0, QuorumQueues)}, QuorumQueue, "q", "p"},
		{"streams alone", []*Policy{named("p", "", 0, Streams)}, Stream, "q", "p"},
		{"all by silence", []*Policy{named("p", "", 0, "")}, Exchange, "x", "p"},
		{"mirrors are not for quorum queues", []*Policy{named("ha", "", 9, All, "ha-mode"), named("p", "", 0, All)}, QuorumQueue, "q", "p"},
		{"mirrors are for classic ones", []*Policy{named("ha", "", 9, All, "ha-mode"), named("p", "", 0, All)}, ClassicQueue, "q", "ha"},
		{"a stream's key is not for queues", []*Policy{named("s", "", 9, Queues, "max-age")}, ClassicQueue, "q", ""},
		{"no expression matches nothing", []*Policy{named("p", "(", 0, All)}, ClassicQueue, "(", ""},
	} {
		got := ""
		if p := Match(c.policies, c.kind, c.of); p != nil {
			got = p.Name
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestTheOrderOfPoliciesMeansNothing: every node must find the same one.
func TestTheOrderOfPoliciesMeansNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var policies []*Policy
		for i := range 1 + rng.IntN(6) {
			policies = append(policies, &Policy{
				Name: string(rune('a' + i)), Pattern: []string{"", "q", "^o", "(?!q)"}[rng.IntN(4)],
				Priority: int64(rng.IntN(3)), Definition: map[string]any{"expires": int64(1)},
			})
		}
		for _, name := range []string{"q", "orders", ""} {
			want := Match(policies, ClassicQueue, name)
			rng.Shuffle(len(policies), func(i, j int) { policies[i], policies[j] = policies[j], policies[i] })
			if got := Match(policies, ClassicQueue, name); got != want {
				t.Fatalf("%q: %v and %v", name, got, want)
			}
		}
	}
}
