package peer

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/warrenmq/warren/cluster/peer/memconn"
	"github.com/warrenmq/warren/cluster/security"
	pb "github.com/warrenmq/warren/proto"
)

func call(t testing.TB, from *node, to string) error {
	t.Helper()
	cc, err := from.conns.Conn(to)
	if err != nil {
		t.Fatalf("Conn(%s): %v", to, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = pb.NewRaftClient(cc).Position(ctx, &pb.RaftPositionRequest{Group: 7})
	if status.Code(err) == codes.NotFound { // served: there is no group 7
		return nil
	}
	return err
}

func TestStrangersAreRefusedWithOneLineOnBothSides(t *testing.T) {
	tests := []struct {
		name          string
		caller, meant string
		epoch         uint64
		options       []nodeOption
		want          string
	}{
		{"a node of another cluster", "x@1", "a@1", 1, []nodeOption{inCluster("c2")}, "node x@1 belongs to cluster c2, a@1 to cluster c1"},
		{"a second node with the name of the one called", "a@2", "a@1", 1, nil, `a second node with the name "a"`},
		{"a second node with the name of one connected", "b@9", "a@1", 1, nil, `a second node with the name "b"`},
		{"an older start of a node", "b@1", "a@1", 4, nil, "epoch 4 is over"},
		{"a node that means another at this address", "x@1", "a@0", 1, nil, "this is node a@1, not a@0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				network := memconn.New()
				a := startNode(t, network, "a@1", 1)
				b := startNode(t, network, "b@1", 5)
				if err := call(t, b, "a@1"); err != nil {
					t.Fatalf("a node of the cluster is refused: %v", err)
				}
				stranger := startNodeOn(t, test.caller, test.epoch, otherListener(network), addresses{}, network.Dialer("elsewhere"), test.options...)
				for range 3 {
					err := call(t, stranger, test.meant)
					if !Refused(err) || !strings.Contains(err.Error(), test.want) {
						t.Fatalf("call = %v, want a refusal: %s", err, test.want)
					}
				}
				time.Sleep(time.Minute) // its link is tried again and again meanwhile
				if n := a.log.count("node refused"); n != 1 {
					t.Errorf("%d lines where the stranger was refused, want 1:\n%s", n, a.log)
				}
				if n := stranger.log.count("refused by node"); n != 1 {
					t.Errorf("%d lines at the stranger, want 1:\n%s", n, stranger.log)
				}
				if stranger.conns.Up(test.meant) {
					t.Errorf("a refused link counts as up")
				}
			})
		})
	}
}

func TestNameIsFreeOnceItsNodeIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		startNode(t, network, "a@1", 1)
		b := startNode(t, network, "b@1", 1)
		if err := call(t, b, "a@1"); err != nil {
			t.Fatal(err)
		}
		b.stop()
		time.Sleep(10 * time.Millisecond)
		wiped := startNode(t, network, "b@2", 1)
		if err := call(t, wiped, "a@1"); err != nil {
			t.Errorf("a node with a new disk and its old name: %v", err)
		}
	})
}

func TestWithoutAClusterOnlyOpenCallsAreServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		open := func(yes bool) nodeOption {
			return func(_ *Identity, s *ServerConfig, _ *ConnsConfig, _ *TransportsConfig) {
				s.Open = func(method string) bool { return yes && method == pb.Raft_Position_FullMethodName }
			}
		}
		startNode(t, network, "a@1", 1, inCluster(""), open(true))
		startNode(t, network, "c@1", 1, inCluster("c1"), open(false))
		b := startNode(t, network, "b@1", 1, inCluster(""))
		if err := call(t, b, "a@1"); err != nil {
			t.Errorf("an open call between fresh nodes: %v", err)
		}
		if err := call(t, b, "c@1"); status.Code(err) != codes.FailedPrecondition || Refused(err) {
			t.Errorf("another call = %v, want not yet", err)
		}
		time.Sleep(10 * time.Second)
		if b.conns.Up("a@1") {
			t.Errorf("a link without a cluster")
		}
	})
}

func withSecret(t testing.TB, serverID, secret string) nodeOption {
	return func(_ *Identity, s *ServerConfig, c *ConnsConfig, _ *TransportsConfig) {
		keys, err := security.New(secret)
		if err != nil {
			t.Fatalf("security.New: %v", err)
		}
		server, client, err := keys.NodeTLS(serverID)
		if err != nil {
			t.Fatalf("NodeTLS: %v", err)
		}
		s.TLS, s.CheckPeer = server, security.CheckPeer
		c.TLS = func(id string) *tls.Config { return security.Expect(client, id) }
	}
}

func TestCertificatesDecideWhoANodeIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		a := startNode(t, network, "a@1", 1, withSecret(t, "a@1", "the cluster's long secret"))
		b := startNode(t, network, "b@1", 1, withSecret(t, "b@1", "the cluster's long secret"))
		if err := call(t, b, "a@1"); err != nil {
			t.Fatalf("with the secret: %v", err)
		}
		await(t, "the link", 5*time.Second, func() bool { return b.conns.Up("a@1") })
		forged := startNode(t, network, "c@1", 1, withSecret(t, "d@1", "the cluster's long secret"))
		if err := call(t, forged, "a@1"); !Refused(err) {
			t.Errorf("the certificate of another node: %v", err)
		}
		wrong := startNode(t, network, "e@1", 1, withSecret(t, "e@1", "quite another long secret"))
		for range 3 {
			if err := call(t, wrong, "a@1"); err == nil {
				t.Errorf("a node with another secret is served")
			}
		}
		time.Sleep(time.Minute)
		if n := wrong.log.count("handshake failed"); n != 1 {
			t.Errorf("%d lines at the node with the wrong secret, want 1:\n%s", n, wrong.log)
		}
		if n := a.log.count("handshake failed"); n != 1 {
			t.Errorf("%d lines where it was refused, want 1:\n%s", n, a.log)
		}
	})
}

func TestSilentPeerIsDownAfterThreeSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := memconn.New()
		a := startNode(t, network, "a@1", 1)
		startNode(t, network, "b@1", 1)
		type change struct {
			up bool
			at time.Time
		}
		changes := make(chan change, 8)
		a.conns.Watch(func(_ string, up bool) { changes <- change{up, time.Now()} })
		died := make(chan string, 1)
		a.conns.WatchDead(func(id string) { died <- id })
		if err := call(t, a, "b@1"); err != nil {
			t.Fatal(err)
		}
		if c := <-changes; !c.up {
			t.Fatal("the link does not come up")
		}
		time.Sleep(10 * time.Second)
		network.Vanish("b")
		start := time.Now()
		if c := <-changes; c.up || c.at.Sub(start) > 5500*time.Millisecond {
			t.Errorf("down = %v after %v, want about three seconds", !c.up, c.at.Sub(start))
		}
		select {
		case id := <-died:
			t.Errorf("%s counts as dead: it is only silent", id)
		default:
		}
		time.Sleep(time.Minute)
		network.Return("b")
		start = time.Now()
		if c := <-changes; !c.up || c.at.Sub(start) > 4*time.Second {
			t.Errorf("up = %v after %v", c.up, c.at.Sub(start))
		}
	})
}
