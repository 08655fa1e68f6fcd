package roster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/warrenmq/warren/broker/auth"
)

// node is a Roster that others can ask, and all that it works with.
type node struct {
	*Roster
	t       *testing.T
	addr    string
	cluster map[string]*node
	id      string
	vhost   map[string]int64
	user    map[string]int64
	clients []string // names
	closed  []string
	asked   atomic.Int32 // for a connection to another node
}

func newCluster(t *testing.T, names ...string) map[string]*node {
	all := make(map[string]*node)
	for _, id := range names {
		n := &node{t: t, id: id, cluster: all, vhost: map[string]int64{}, user: map[string]int64{}, clients: []string{"client of " + id}}
		var err error
		n.Roster, err = New(Config{Conns: n, Others: n.others, Limits: n, Local: local{n}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n.addr = ln.Addr().String()
		server := grpc.NewServer()
		n.Register(server)
		served := make(chan error, 1)
		go func() { served <- server.Serve(ln) }()
		t.Cleanup(func() {
			server.Stop()
			<-served
		})
		all[id] = n
	}
	return all
}

func (n *node) others() (ids []string) {
	for id := range n.cluster {
		if id != n.id {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (n *node) Conn(id string) (*grpc.ClientConn, error) {
	n.asked.Add(1)
	if n.cluster[id] == nil {
		return nil, errors.New("no such node")
	}
	c, err := grpc.NewClient(n.cluster[id].addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		n.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (n *node) VHostConnections(vhost string) (int64, bool) { l, ok := n.vhost[vhost]; return l, ok }
func (n *node) UserConnections(user string) (int64, bool)   { l, ok := n.user[user]; return l, ok }

type local struct{ *node }

func (l local) Connections() (list [][]byte) {
	for _, name := range l.clients {
		list = append(list, []byte(name))
	}
	return list
}
func (l local) Consumers(vhost string) [][]byte { return [][]byte{[]byte(vhost + " at " + l.id)} }
func (l local) Close(name, reason string) bool {
	if !slices.Contains(l.clients, name) {
		return false
	}
	l.closed = append(l.closed, name+": "+reason)
	return true
}
func (l local) Channels(string) int { return 3 }
func (l local) Report() []byte      { return []byte(l.id) }

func limit(c map[string]*node, set func(*node)) {
	for _, n := range c {
		set(n)
	}
}

func TestLimitsCountInTheWholeCluster(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	ctx := t.Context()
	admit := func(node, vhost, user string) func() {
		t.Helper()
		release, err := c[node].Admit(ctx, vhost, user)
		if err != nil {
			t.Fatalf("%s lets %s into %s: %v", node, user, vhost, err)
		}
		return release
	}
	refuse := func(node, vhost, user, want string) {
		t.Helper()
		_, err := c[node].Admit(ctx, vhost, user)
		if err == nil || err.Error() != want || !errors.Is(err, auth.ErrNotAllowed) {
			t.Errorf("%s refuses %s in %s: %v, want %s", node, user, vhost, err, want)
		}
	}
	first := admit("a", "v", "u")
	if c["a"].asked.Load() != 0 {
		t.Error("others were asked although nothing is limited")
	}
	limit(c, func(n *node) { n.vhost["v"] = 2 })
	admit("b", "v", "x")
	const overVHost = "access to vhost 'v' refused for user 'u': connection limit (2) is reached"
	refuse("c", "v", "u", overVHost)
	refuse("c", "v", "u", overVHost) // what was refused is not counted
	admit("c", "other", "u")
	first()
	admit("c", "v", "u")

	limit(c, func(n *node) { n.user["u"] = 2; delete(n.vhost, "v") }) // u has two at c
	refuse("a", "v", "u", "connection refused for user 'u': user connection limit (2) is reached")
	limit(c, func(n *node) { n.user["u"] = 0 })
	refuse("a", "v", "u", "connection refused for user 'u': user connection limit (0) is reached")
	limit(c, func(n *node) { n.vhost["v"] = 0 })
	refuse("a", "v", "x", "access to vhost 'v' refused for user 'x': connection limit (0) is reached")
}

func TestWhatIsAskedOfAllNodes(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	ctx := context.Background()
	a := c["a"]
	if got := fmt.Sprintf("%s %s", a.Connections(ctx), a.Reports(ctx)); got != "[client of a client of b client of c] [a b c]" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%s", a.Consumers(ctx, "v")); got != "[v at a v at b v at c]" {
		t.Error(got)
	}
	if n := a.ChannelsElsewhere(ctx, "u"); n != 6 {
		t.Errorf("%d channels, want 6", n)
	}
	for name, want := range map[string]bool{"client of a": true, "client of c": true, "nobody": false} {
		if got := a.CloseConnection(ctx, name, "why"); got != want {
			t.Errorf("close %q: %v", name, got)
		}
	}
	if !slices.Equal(c["c"].closed, []string{"client of c: why"}) || len(c["b"].closed) > 0 {
		t.Errorf("c closed %q, b %q", c["c"].closed, c["b"].closed)
	}
}

func TestANodeThatDoesNotAnswerIsLeftOut(t *testing.T) {
	c := newCluster(t, "a", "b")
	c["gone"] = &node{addr: "127.0.0.1:1"}
	if got := fmt.Sprintf("%s", c["a"].Reports(t.Context())); got != "[a b]" {
		t.Error(got)
	}
}
