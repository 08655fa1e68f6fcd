package topology

import (
	"fmt"
	"slices"
	"testing"
)

// story writes changes down for comparison.
func story(changes []Change) []string {
	var lines []string
	for _, c := range changes {
		switch c.Kind {
		case ExchangeAdded:
			lines = append(lines, "+x "+c.Exchange.Name)
		case ExchangeRemoved:
			lines = append(lines, "-x "+c.Exchange.Name)
		case QueueAdded:
			lines = append(lines, "+q "+c.Queue.Name)
		case QueueRemoved:
			lines = append(lines, "-q "+c.Queue.Name)
		case BindingAdded:
			lines = append(lines, fmt.Sprintf("+b %s>%s", c.Binding.Source, c.Binding.Destination))
		case BindingRemoved:
			lines = append(lines, fmt.Sprintf("-b %s>%s", c.Binding.Source, c.Binding.Destination))
		default:
			lines = append(lines, fmt.Sprintf("%d %s", c.Kind, c.VHost))
		}
	}
	return lines
}

func TestRemovalTakesWhatDependsOnIt(t *testing.T) {
	for _, tt := range []struct {
		name    string
		setup   []Command
		command Command
		want    []string
	}{
		{"a deleted queue takes its bindings",
			[]Command{durable("q", nil), exchange("x", Direct), bindQueue("x", "q", "a", nil), bindQueue("x", "q", "b", nil)},
			DeleteQueue{VHost: "/", Name: "q"},
			[]string{"-b x>q", "-b x>q", "-q q"}},
		{"an auto-delete exchange goes with its last binding",
			[]Command{durable("q", nil), autoDelete("x"), bindQueue("x", "q", "a", nil), bindQueue("x", "q", "b", nil)},
			DeleteQueue{VHost: "/", Name: "q"},
			[]string{"-b x>q", "-b x>q", "-q q", "-x x"}},
		{"an auto-delete exchange stays while it has a binding",
			[]Command{durable("q", nil), durable("p", nil), autoDelete("x"), bindQueue("x", "q", "a", nil), bindQueue("x", "p", "b", nil)},
			DeleteQueue{VHost: "/", Name: "q"},
			[]string{"-b x>q", "-q q"}},
		{"an auto-delete exchange without a binding yet stays when one to it goes",
			[]Command{autoDelete("x"), exchange("s", Fanout), bindExchange("s", "x")},
			Unbind(bindExchange("s", "x")),
			[]string{"-b s>x"}},
		{"auto-deletion cascades upwards",
			[]Command{durable("q", nil), autoDelete("x"), autoDelete("y"), autoDelete("z"),
				bindQueue("x", "q", "", nil), bindExchange("y", "x"), bindExchange("z", "y")},
			Unbind(bindQueue("x", "q", "", nil)),
			[]string{"-b x>q", "-b y>x", "-x x", "-b z>y", "-x y", "-x z"}},
		{"auto-deletion ends in a cycle that holds itself",
			[]Command{durable("q", nil), autoDelete("x"), autoDelete("y"), bindExchange("x", "y"), bindExchange("y", "x"), bindQueue("x", "q", "", nil)},
			DeleteQueue{VHost: "/", Name: "q"},
			[]string{"-b x>q", "-q q"}},
		{"a deleted exchange leaves its destinations",
			[]Command{durable("q", nil), exchange("x", Fanout), autoDelete("y"), autoDelete("s"), bindQueue("x", "q", "", nil),
				bindQueue("y", "q", "", nil), bindExchange("x", "y"), bindExchange("s", "x")},
			DeleteExchange{"/", "x", false},
			[]string{"-b x>q", "-b x>y", "-b s>x", "-x x", "-x s"}},
		{"an exchange bound to itself can be deleted",
			[]Command{exchange("x", Fanout), bindExchange("x", "x")},
			DeleteExchange{"/", "x", false},
			[]string{"-b x>x", "-x x"}},
		{"a connection's end takes its queues in order",
			[]Command{exclusive("b", "c1"), exclusive("a", "c1"), exclusive("c", "c2"), autoDelete("x"),
				Bind{Binding: Binding{VHost: "/", Source: "x", Destination: "a"}, Connection: "c1"}},
			DeleteOwned{Owner: "c1"},
			[]string{"-q b", "-b x>a", "-q a", "-x x"}},
		{"a node's new process drops what the old one held",
			[]Command{exclusive("b", "c1"), durable("q", nil)},
			DropTransient{Home: "a@1", BeforeEpoch: 4},
			[]string{"-q b"}},
		{"a deleted vhost takes everything",
			[]Command{DeclareVHost{VHost: VHost{Name: "v"}}, DeclareQueue{Queue: Queue{VHost: "v", Name: "q", Exclusive: true, Owner: "c", Home: "h"}},
				Bind{Binding: Binding{VHost: "v", Source: "amq.fanout", Destination: "q"}, Connection: "c"}},
			DeleteVHost{Name: "v"},
			[]string{"-b amq.fanout>q", "-x ", "-x amq.direct", "-x amq.fanout", "-x amq.headers", "-x amq.match",
				"-x amq.rabbitmq.trace", "-x amq.topic", "-q q", "3 v"}},
		{"an exchange takes its hidden queue",
			[]Command{durable("q", nil), ofType("late", Delayed, Arguments{"x-delayed-type": Direct}), bindQueue("late", "q", "k", nil)},
			DeleteExchange{"/", "late", false},
			[]string{"-b late>q", "-x late", "-q amq.delayed.late"}},
		{"the cluster's restart takes what is not durable, and not the auto-delete exchanges that are",
			[]Command{durable("q", nil), DeclareExchange{Exchange: Exchange{VHost: "/", Name: "v", Type: RecentHistory}}, bindQueue("v", "q", "", nil),
				DeclareExchange{Exchange: Exchange{VHost: "/", Name: "s", Type: Fanout, AutoDelete: true, Durable: true}}, bindExchange("s", "v"),
				DeclareExchange{Exchange: Exchange{VHost: "/", Name: "later", Type: Fanout}}},
			DropVolatile{Through: 4},
			[]string{"-b v>q", "-b s>v", "-x v", "-q amq.history.v"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := New()
			must(t, top, tt.setup...)
			if got := story(must(t, top, tt.command).Changes); !slices.Equal(got, tt.want) {
				t.Errorf("Apply(%+v)\n got %q\nwant %q", tt.command, got, tt.want)
			}
			checkIndexes(t, top)
		})
	}
}

// checkIndexes holds the indexes of top against each other.
func checkIndexes(t testing.TB, top *Topology) {
	t.Helper()
	queues, owned, homed := 0, 0, 0
	for name, v := range top.vhosts {
		queues += len(v.queues) + len(v.hidden)
		for _, q := range v.hidden {
			if top.byID[q.ID] != q || !v.owns(q) {
				t.Fatalf("hidden queue %+v is nobody's", q)
			}
		}
		from, to := 0, 0
		for source, bs := range v.from {
			if v.exchanges[source] == nil || len(bs) == 0 {
				t.Fatalf("vhost %q: %d bindings from the missing exchange %q", name, len(bs), source)
			}
			from += len(bs)
		}
		for e, bs := range v.to {
			if !v.has(e) || len(bs) == 0 {
				t.Fatalf("vhost %q: %d bindings to the missing %+v", name, len(bs), e)
			}
			to += len(bs)
		}
		if from != to {
			t.Fatalf("vhost %q: %d bindings by source, %d by destination", name, from, to)
		}
		for _, q := range v.queues {
			if top.byID[q.ID] != q {
				t.Fatalf("queue %q is not under its id %d", q.Name, q.ID)
			}
			if q.Owner != "" {
				owned++
			}
			if q.Home != "" {
				homed++
			}
		}
	}
	count := func(i index) (n int) {
		for _, m := range i {
			n += len(m)
		}
		return n
	}
	if len(top.byID) != queues || count(top.owned) != owned || count(top.homes) != homed {
		t.Fatalf("%d queues, %d by id; %d owned, %d by owner; %d homed, %d by home",
			queues, len(top.byID), owned, count(top.owned), homed, count(top.homes))
	}
}

func TestFinding(t *testing.T) {
	top := world(t)
	if q, err := top.FindQueue("/", "mine", "conn-1"); err != nil || q.Name != "mine" {
		t.Errorf("FindQueue by the owner = %v, %v", q, err)
	}
	for _, tt := range []struct {
		call string
		err  func() error
		want string
	}{
		{"FindQueue missing", func() error { _, err := top.FindQueue("/", "none", "c"); return err }, "no queue 'none' in vhost '/'"},
		{"FindExchange missing", func() error { _, err := top.FindExchange("/", "none"); return err }, "no exchange 'none' in vhost '/'"},
		{"FindExchange default", func() error { _, err := top.FindExchange("/", ""); return err }, "operation not permitted on the default exchange"},
		{"CheckPublish internal", func() error { return CheckPublish(top.Exchange("/", "in")) }, "cannot publish to internal exchange 'in' in vhost '/'"},
		{"QueueInUse", func() error { return QueueInUse(top.Queue("/", "q")) }, "queue 'q' in vhost '/' in use"},
		{"QueueNotEmpty", func() error { return QueueNotEmpty(top.Queue("/", "q")) }, "queue 'q' in vhost '/' not empty"},
	} {
		if err := tt.err(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.call, err, tt.want)
		}
	}
	if _, err := top.FindQueue("/", "mine", "conn-2"); err == nil {
		t.Error("another connection found an exclusive queue")
	}
	if n := len(top.BindingsTo("/", "q", false)); n != 2 {
		t.Errorf("%d bindings to q, want 2", n)
	}
	if n := len(top.BindingsFrom("/", "x")); n != 2 {
		t.Errorf("%d bindings from x, want 2", n)
	}
}
