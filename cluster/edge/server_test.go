package edge

import (
	"context"
	"math/rand"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/transient"
	"github.com/warrenmq/warren/cluster/peer/memconn"
)

// away is the Local of a node whose replica is not the leader.
type away struct{}

func (away) Engine(uint64) (*leader.Engine, uint64, bool) { return nil, 0, false }
func (away) Leader(uint64) (string, bool)                 { return "self", true }

// one connection is enough for a test.
type oneConn struct{ cc *grpc.ClientConn }

func (o oneConn) Conn(string) (*grpc.ClientConn, error) { return o.cc, nil }

// remoteEdge is an edge whose only way to the queues is a stream to e.
func remoteEdge(t *testing.T, e *Edge) *Edge {
	network := memconn.New()
	ln, err := network.Listen("self:1")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	e.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	cc, err := grpc.NewClient("passthrough:///self:1", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return network.Dialer("other")(ctx, addr) }))
	if err != nil {
		t.Fatal(err)
	}
	far := New(Config{
		Self:    leader.EdgeID{Node: "other", Epoch: 1},
		Session: queue.Session{Incarnation: 8, Epoch: 1},
		Local:   away{},
		Conns:   oneConn{cc},
		Locate:  func(queue.ID) (Target, bool) { return Target{Group: 1}, true },
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- far.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		cc.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return far
}

// A leader that loses its term and leads again at once, on the same connection:
// what it could not answer is asked again, though nothing more is published.
func TestUnansweredBatchesGoAgainOverAStreamThatStands(t *testing.T) {
	for s := *seed; s < *seed+10; s++ {
		synctest.Test(t, func(t *testing.T) {
			const q queue.ID = 5
			const messages = 200
			l := &local{}
			log := &shaky{rng: rand.New(rand.NewSource(s)), Log: transient.NewLog(1<<30, func([]queue.ID) {})}
			defer l.lead(log, leader.Config{})()
			far := remoteEdge(t, newEdge(t, l))
			confirms := &tally{seen: make(map[uint64]int)}
			for tag := range uint64(messages) {
				if err := far.Publish(t.Context(), []queue.ID{q}, &queue.Message{RoutingKey: "k", Body: []byte("body")}, Receipt{confirms, tag}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // a batch a message
			}
			time.Sleep(time.Minute)
			if n := confirms.count(); n != messages {
				t.Fatalf("seed %d: %d of %d messages are confirmed after a minute", s, n, messages)
			}
			log.Locked(func(st *queue.State) {
				if n := st.Queue(q).Messages(); n != messages {
					t.Errorf("seed %d: the queue has %d messages, want %d", s, n, messages)
				}
			})
		})
	}
}
