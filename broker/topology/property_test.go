package topology

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/policy"
)

var seed = flag.Uint64("seed", 1, "seed of the random commands")

// randomArguments has fields of every type, few enough values that equal ones happen.
func randomArguments(r *rand.Rand, depth int) Arguments {
	if r.IntN(3) > 0 {
		return nil
	}
	args := make(Arguments)
	for range 1 + r.IntN(3) {
		args[string(rune('a'+r.IntN(4)))] = randomValue(r, depth)
	}
	return args
}

func randomValue(r *rand.Rand, depth int) any {
	n := r.IntN(18)
	if depth > 2 {
		n = r.IntN(15)
	}
	return [...]func() any{
		func() any { return nil },
		func() any { return r.IntN(2) == 0 },
		func() any { return int8(r.IntN(3) - 1) },
		func() any { return uint8(r.IntN(3)) },
		func() any { return int16(r.IntN(3) - 1) },
		func() any { return uint16(r.IntN(3)) },
		func() any { return int32(r.IntN(3) - 1) },
		func() any { return uint32(r.IntN(3)) },
		func() any { return int64(r.IntN(3) - 1) },
		func() any { return float32(r.IntN(3)) },
		func() any { return float64(r.IntN(3)) },
		func() any { return Decimal{uint8(r.IntN(3)), int32(r.IntN(3) - 1)} },
		func() any { return time.Unix(int64(r.IntN(3)), 0).UTC() },
		func() any { return fmt.Sprint(r.IntN(3)) },
		func() any { return []byte{byte(r.IntN(3))} },
		func() any { return []any{} },
		func() any { return []any{randomValue(r, depth+1), randomValue(r, depth+1)} },
		func() any {
			if t := randomArguments(r, depth+1); t != nil {
				return t
			}
			return Arguments{}
		},
	}[n]()
}

// randomCommand works on a few names, so that commands meet each other's work.
func randomCommand(r *rand.Rand) Command {
	pick := func(names ...string) string { return names[r.IntN(len(names))] }
	vhost := pick("/", "/", "/", "v")
	exchange := func() string { return pick("", "amq.topic", "a", "b", "c", "d") }
	queue := func() string { return pick("q1", "q2", "q3", "q4", "") }
	owner := func() string { return pick("", "conn-1", "conn-2") }
	binding := func() Binding {
		b := Binding{VHost: vhost, Source: exchange(), Destination: queue(), RoutingKey: pick("", "k", "#.k"), Arguments: randomArguments(r, 0)}
		if r.IntN(3) == 0 {
			b.ToExchange, b.Destination = true, exchange()
		}
		return b
	}
	switch n := r.IntN(100); {
	case n < 2:
		return DeclareVHost{VHost: VHost{Name: vhost}}
	case n < 3:
		return DeleteVHost{Name: vhost}
	case n < 4:
		return UpdateVHost{VHost{Name: vhost, Description: pick("", "d"), DefaultQueueType: pick("", "quorum", "no"), Protected: r.IntN(3) == 0}}
	case n < 5:
		return SetVHostLimits{VHost: vhost, Limits: map[string]int64{pick(MaxQueues, MaxQueues, MaxConnections, "x"): int64(r.IntN(6)) - 1}}
	case n < 9:
		return SetPolicy{VHost: vhost, Operator: r.IntN(3) == 0, Policy: randomPolicy(r)}
	case n < 10:
		return ClearPolicy{VHost: vhost, Operator: r.IntN(3) == 0, Name: pick("p", "r")}
	case n < 11:
		return DropVolatile{Through: r.Uint64N(2000)}
	case n < 20:
		x := Exchange{VHost: vhost, Name: exchange(), Type: pick(Direct, Fanout, Topic, Headers, "x-none", Delayed, RecentHistory, ConsistentHash),
			Durable: r.IntN(2) == 0, AutoDelete: r.IntN(2) == 0, Internal: r.IntN(4) == 0, Arguments: randomArguments(r, 0)}
		if x.Type == Delayed && r.IntN(4) > 0 {
			x.Arguments = Arguments{"x-delayed-type": pick(Direct, Fanout)}
		}
		return DeclareExchange{Exchange: x, Group: uint64(r.IntN(3))}
	case n < 25:
		return DeleteExchange{VHost: vhost, Name: exchange(), IfUnused: r.IntN(2) == 0}
	case n < 45:
		q := Queue{VHost: vhost, Name: queue(), Durable: r.IntN(2) == 0, AutoDelete: r.IntN(2) == 0, Arguments: randomArguments(r, 0),
			Group: uint64(r.IntN(3)), Owner: owner(), Home: pick("", "a@1", "b@2"), HomeEpoch: uint64(r.IntN(3))}
		q.Exclusive = q.Owner != ""
		return DeclareQueue{Queue: q, ServerNamed: r.IntN(9) == 0}
	case n < 52:
		return DeleteQueue{VHost: vhost, Name: queue(), Connection: owner()}
	case n < 54:
		return DeleteOwned{Owner: owner()}
	case n < 56:
		return DropTransient{Home: pick("", "a@1", "b@2"), BeforeEpoch: uint64(r.IntN(4))}
	case n < 88:
		return Bind{Binding: binding(), Connection: owner()}
	default:
		return Unbind{Binding: binding(), Connection: owner()}
	}
}

func randomPolicy(r *rand.Rand) policy.Policy {
	pick := func(names ...string) string { return names[r.IntN(len(names))] }
	p := policy.Policy{Name: pick("p", "r", ""), Pattern: pick("", "q", "^q1$", "a", "["), Priority: int64(r.IntN(3)) - 1,
		ApplyTo: []policy.ApplyTo{policy.Queues, policy.All, policy.Exchanges, policy.QuorumQueues}[r.IntN(4)]}
	switch r.IntN(5) {
	case 0:
		p.Definition = map[string]any{"max-length": int64(r.IntN(4))}
	case 1:
		p.Definition = map[string]any{"alternate-exchange": pick("a", "b")}
	case 2:
		p.Definition = map[string]any{"message-ttl": int64(r.IntN(4)), "dead-letter-exchange": pick("a", "b")}
	case 3:
		p.Definition = map[string]any{"no-such-key": []any{true, nil, 0.5, map[string]any{"a": "b"}}}
	}
	return p
}

// TestReplicasAgree applies the same commands to two replicas, the second of which
// gets them through the encoding and is restored from a snapshot now and then.
func TestReplicasAgree(t *testing.T) {
	for s := *seed; s < *seed+5; s++ {
		r := rand.New(rand.NewPCG(s, s))
		a, b := New(), New()
		for i := range 4000 {
			c := randomCommand(r)
			decoded, err := DecodeCommand(EncodeCommand(c))
			if err != nil || !reflect.DeepEqual(decoded, c) {
				t.Fatalf("seed %d, command %d: %+v came back as %+v, %v", s, i, c, decoded, err)
			}
			before := a.AppendSnapshot(nil)
			ra, ea := a.Apply(c)
			rb, eb := b.Apply(decoded)
			if !reflect.DeepEqual(ra, rb) || !reflect.DeepEqual(ea, eb) {
				t.Fatalf("seed %d, command %d, %+v: replicas differ:\n%+v %v\n%+v %v", s, i, c, ra, ea, rb, eb)
			}
			snapshot := a.AppendSnapshot(nil)
			if !bytes.Equal(snapshot, b.AppendSnapshot(nil)) {
				t.Fatalf("seed %d, command %d, %+v: snapshots differ", s, i, c)
			}
			if (len(ra.Changes) > 0) == bytes.Equal(before, snapshot) {
				t.Fatalf("seed %d, command %d, %+v: state and changes disagree: %q", s, i, c, story(ra.Changes))
			}
			if i%97 == 0 { // a restart in the middle changes nothing
				if b, err = RestoreTopology(snapshot); err != nil {
					t.Fatalf("seed %d, command %d: restore: %v", s, i, err)
				}
				checkIndexes(t, a)
				checkIndexes(t, b)
			}
		}
	}
}

// TestChangesTellEverything replays the changes into a bare set and compares it with the contents.
func TestChangesTellEverything(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 7))
	top := New()
	seen := make(map[string]bool)
	follow := func(changes []Change) {
		for _, c := range changes {
			thing, added := "vhost "+c.VHost, c.Kind == VHostAdded || c.Kind == ExchangeAdded || c.Kind == QueueAdded || c.Kind == BindingAdded
			switch c.Kind {
			case Reset:
				clear(seen)
				continue
			case VHostChanged, PoliciesChanged:
				continue
			case QueueChanged:
				if thing := fmt.Sprint(queueNamed(c.VHost, c.Queue.Name), c.Queue.ID); !seen[thing] {
					t.Fatalf("a change of the missing %s", thing)
				}
				continue
			case ExchangeChanged:
				if thing := exchangeNamed(c.VHost, c.Exchange.Name).String(); !seen[thing] {
					t.Fatalf("a change of the missing %s", thing)
				}
				continue
			case ExchangeAdded, ExchangeRemoved:
				thing = exchangeNamed(c.VHost, c.Exchange.Name).String()
			case QueueAdded, QueueRemoved:
				thing = fmt.Sprint(queueNamed(c.VHost, c.Queue.Name), c.Queue.ID)
			case BindingAdded, BindingRemoved:
				thing = fmt.Sprintf("binding %s %q %q", c.VHost, c.Binding.Source, c.Binding.Identity())
				from, to := exchangeNamed(c.VHost, c.Binding.Source).String(), exchangeNamed(c.VHost, c.Binding.Destination).String()
				if !c.Binding.ToExchange {
					to = fmt.Sprint(queueNamed(c.VHost, c.Queue.Name), c.Queue.ID)
				}
				if !seen[from] || !seen[to] {
					t.Fatalf("a change of %s without its ends", thing)
				}
			}
			if seen[thing] == added {
				t.Fatalf("change %d of %s twice", c.Kind, thing)
			}
			if added {
				seen[thing] = true
			} else {
				delete(seen, thing)
			}
		}
	}
	follow(top.Contents())
	for range 4000 {
		if res, err := top.Apply(randomCommand(r)); err == nil {
			follow(res.Changes)
		}
	}
	got := len(seen)
	follow(top.Contents())
	if want := len(seen); got != want {
		t.Errorf("the changes left %d things, the contents have %d", got, want)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		f.Add(EncodeCommand(randomCommand(r)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := DecodeCommand(in)
		if err != nil {
			return
		}
		once := EncodeCommand(c)
		again, err := DecodeCommand(once)
		if err != nil || !bytes.Equal(once, EncodeCommand(again)) {
			t.Fatalf("% x is %+v, which came back as %+v, %v", in, c, again, err)
		}
		top := New()
		top.Apply(c) // may refuse, must not panic
		if _, err := RestoreTopology(top.AppendSnapshot(nil)); err != nil {
			t.Fatalf("the snapshot after %+v: %v", c, err)
		}
	})
}

func FuzzRestoreTopology(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	top := New()
	for i := range 300 {
		top.Apply(randomCommand(r))
		if i%30 == 0 {
			f.Add(top.AppendSnapshot(nil))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		top, err := RestoreTopology(in)
		if err != nil {
			return
		}
		checkIndexes(t, top)
		snapshot := top.AppendSnapshot(nil)
		again, err := RestoreTopology(snapshot)
		if err != nil || !bytes.Equal(snapshot, again.AppendSnapshot(nil)) {
			t.Fatalf("% x became % x, which does not restore: %v", in, snapshot, err)
		}
	})
}

// TestFormatsStayReadable keeps the bytes of version 1: a change here breaks upgrades.
func TestFormatsStayReadable(t *testing.T) {
	c := Bind{Binding: Binding{VHost: "/", Source: "x", Destination: "q", RoutingKey: "k", Arguments: Arguments{
		"a": int8(-1), "b": uint8(1), "c": int16(-1), "d": uint16(1), "e": int32(-1), "f": uint32(1), "g": int64(-1), "h": float32(1),
		"i": float64(1), "j": Decimal{2, -1}, "k": time.Unix(9, 0).UTC(), "l": "s", "m": []byte{0}, "n": nil, "o": []any{true}, "p": Arguments{"q": false},
	}}, Connection: "c"}
	const want = "01090" + "12f0178" + "000171016b" + "10" +
		"016162ff" + "01624201" + "016373ffff03" + "01647501" + "016549ffffffff0f" + "01666901" + "01676cffffffffffffffff" +
		"016866808080fc03" + "0169643ff0000000000000" + "016a4402ffffffff0f" + "016b540000000000000009" + "016c530173" + "016d780100" +
		"016e56" + "016f41017401" + "0170460101717400" + "00" + "0163"
	if got := fmt.Sprintf("%x", EncodeCommand(c)); got != want {
		t.Errorf("EncodeCommand\n got %s\nwant %s", got, want)
	}
}
