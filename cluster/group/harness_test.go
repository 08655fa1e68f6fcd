package group

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/memfs"
	"github.com/warrenmq/warren/cluster/peer"
	"github.com/warrenmq/warren/cluster/peer/memconn"
)

const (
	theGroup = 5
	theQueue = queue.ID(9)
)

// disk is what survives a process: the log's files, votes and terms, snapshots.
type disk struct {
	fs        *memfs.FS
	stable    *raft.InmemStore
	snapshots raft.SnapshotStore
}

func newDisk(seed uint64) *disk {
	return &disk{fs: memfs.New(seed), stable: raft.NewInmemStore(), snapshots: raft.NewInmemSnapshotStore()}
}

// world is a network with nodes that host groups.
type world struct {
	t         testing.TB
	network   *memconn.Network
	disks     map[string]*disk
	epochs    uint64
	mu        sync.Mutex
	preferred string

	sockets   bool // real ones, and the log in memory without a disk below it
	addresses sync.Map
}

func newWorld(t testing.TB) *world {
	return &world{t: t, network: memconn.New(), disks: make(map[string]*disk)}
}

func (w *world) prefer(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.preferred = id
}

// entries is a log in memory.
type entries struct{ *raft.InmemStore }

func (e entries) Payload(index uint64) ([]byte, error) {
	var l raft.Log
	err := e.GetLog(index, &l)
	return l.Data, err
}

func (w *world) listen(id string) (net.Listener, error) {
	if !w.sockets {
		address, _ := w.Address(id)
		return w.network.Listen(address)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		w.addresses.Store(id, l.Addr().String())
	}
	return l, err
}

func (w *world) dialer(id string) func(context.Context, string) (net.Conn, error) {
	if w.sockets {
		return nil
	}
	host, _, _ := strings.Cut(id, "@")
	return w.network.Dialer(host)
}

func (w *world) Address(serverID string) (string, bool) {
	if w.sockets {
		address, ok := w.addresses.Load(serverID)
		if !ok {
			return "", false
		}
		return address.(string), true
	}
	host, _, _ := strings.Cut(serverID, "@")
	return host + ":1", true
}

type process struct {
	w         *world
	id        string
	host      *Host
	group     *Group
	leads     atomic.Int64 // Leads under way
	led       atomic.Int64 // Leads begun
	resigned  atomic.Int64 // while it led
	stayed    atomic.Int64
	touched   atomic.Int64
	killed    atomic.Bool
	stopHosts func()
	stopRest  func()
}

type transport struct{ *peer.Transport }

func (t transport) LastIndex(id string) (uint64, time.Time) {
	p := t.Progress(id)
	return p.LastIndex, p.At
}

// start starts a node with the group; it is created with the replicas initial.
func (w *world) start(id string, initial ...string) *process {
	w.t.Helper()
	p := &process{w: w, id: id}
	if w.disks[id] == nil {
		w.disks[id] = newDisk(uint64(len(w.disks)))
	}
	d := w.disks[id]
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	w.epochs++
	identity := peer.Identity{ServerID: id, Epoch: w.epochs, ClusterID: func() string { return "c" }}
	server, err := peer.NewServer(peer.ServerConfig{Identity: identity, Logger: quiet})
	w.check(err)
	conns, err := peer.NewConns(peer.ConnsConfig{Identity: identity, Resolver: w, Dial: w.dialer(id), Logger: quiet})
	w.check(err)
	transports, err := peer.NewTransports(peer.TransportsConfig{Identity: identity, Conns: conns, Logger: quiet}, server)
	w.check(err)
	shared, err := log.Open(d.fs, "log", log.Config{SegmentBytes: 1 << 20, Logger: quiet})
	w.check(err)
	p.host, err = NewHost(Config{
		Self: id,
		Entries: func(g uint64) (Entries, error) {
			if w.sockets {
				return entries{raft.NewInmemStore()}, nil
			}
			return shared.Group(g), nil
		},
		Stable:    func(uint64) (raft.StableStore, error) { return d.stable, nil },
		Snapshots: func(uint64) (raft.SnapshotStore, error) { return d.snapshots, nil },
		Transport: func(g uint64) Transport { return transport{transports.Transport(g)} },
		Lead: func(ctx context.Context, _ *Group, _ uint64) {
			p.led.Add(1)
			p.leads.Add(1)
			defer p.leads.Add(-1)
			<-ctx.Done()
		},
		Resign: func(context.Context, uint64) func() {
			if p.leads.Load() > 0 {
				p.resigned.Add(1)
			}
			return func() { p.stayed.Add(1) }
		},
		Applied: func(_ uint64, touched []queue.ID) { p.touched.Add(int64(len(touched))) },
		Preferred: func(uint64) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.preferred
		},
		Logger: quiet,
	})
	w.check(err)
	l, err := w.listen(id)
	w.check(err)

	rest, restDone := background(
		func(ctx context.Context) error { return shared.Run(ctx) },
		func(ctx context.Context) error {
			if err := server.Run(ctx, l); err != nil && !p.killed.Load() {
				w.t.Errorf("server: %v", err)
			}
			return nil
		}, conns.Run, transports.Run)
	w.check(p.host.Ensure(theGroup, initial))
	hosts, hostsDone := background(p.host.Run)
	p.group, _ = p.host.Group(theGroup)
	p.stopHosts = sync.OnceFunc(func() { hosts(); hostsDone() })
	p.stopRest = sync.OnceFunc(func() {
		rest()
		restDone()
		shared.Close()
	})
	w.t.Cleanup(p.stop)
	return p
}

func background(runs ...func(context.Context) error) (stop, wait func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, run := range runs {
		all.Go(func() { run(ctx) })
	}
	return cancel, all.Wait
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// stop is a graceful stop.
func (p *process) stop() {
	p.stopHosts()
	p.stopRest()
}

// kill is a power cut that the others' connections tell of.
func (p *process) kill() {
	p.killed.Store(true)
	host, _, _ := strings.Cut(p.id, "@")
	p.w.network.Kill(host)
	p.w.disks[p.id].fs = p.w.disks[p.id].fs.Crash()
	p.stop()
}

var three = []string{"a@1", "b@1", "c@1"}

func (w *world) startThree() []*process {
	var ps []*process
	for _, id := range three {
		ps = append(ps, w.start(id, three...))
	}
	return ps
}

func await(t testing.TB, what string, limit time.Duration, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("%s: not after %v", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// leading is the process whose Lead runs.
func leading(ps []*process) *process {
	for _, p := range ps {
		if p.leads.Load() > 0 {
			return p
		}
	}
	return nil
}

func awaitLeading(t testing.TB, ps []*process) *process {
	t.Helper()
	await(t, "a leader", 15*time.Second, func() bool { return leading(ps) != nil })
	return leading(ps)
}

func without(ps []*process, gone *process) (rest []*process) {
	for _, p := range ps {
		if p != gone {
			rest = append(rest, p)
		}
	}
	return rest
}

type result struct {
	answers []queue.Answer
	err     error
}

// propose waits for one batch.
func propose(t testing.TB, p *process, batch []byte) result {
	t.Helper()
	done := make(chan result, 1)
	p.group.Propose(batch, func(answers []queue.Answer, err error) { done <- result{append([]queue.Answer(nil), answers...), err} })
	return <-done
}

func mustPropose(t testing.TB, p *process, batch []byte) []queue.Answer {
	t.Helper()
	r := propose(t, p, batch)
	if r.err != nil {
		t.Fatalf("propose at %s: %v", p.id, r.err)
	}
	return r.answers
}

// numbered is a publish batch of one message whose body is n.
func numbered(n uint64) []byte {
	var b queue.Builder
	b.Add([]queue.ID{theQueue}, &queue.Message{Exchange: "e", RoutingKey: "k", Body: binary.BigEndian.AppendUint64(nil, n), TTL: queue.NoTTL})
	return b.Seal(queue.Session{Incarnation: 1, Epoch: 1}, n)
}

var configure = queue.EncodeCommands(queue.Configure{Queue: theQueue, Settings: queue.Settings{VHost: "/", Name: "q"}})

// bodies reads the numbers of the queue's messages in order at one replica.
func bodies(t testing.TB, p *process) (numbers []uint64) {
	t.Helper()
	var items []queue.Item
	p.group.Locked(func(s *queue.State) {
		if q := s.Queue(theQueue); q != nil {
			for seq := uint64(0); ; {
				it, ok := q.After(seq)
				if !ok {
					return
				}
				items, seq = append(items, it), it.Seq
			}
		}
	})
	for _, it := range items {
		m, err := p.group.Message(it.Ref)
		if err != nil {
			t.Fatalf("message %d at %s: %v", it.Seq, p.id, err)
		}
		numbers = append(numbers, binary.BigEndian.Uint64(m.Body))
	}
	return numbers
}

func hash(p *process) (h uint64) {
	p.group.Locked(func(s *queue.State) { h = s.Hash() })
	return h
}

// awaitEqual waits until all replicas have equal states.
func awaitEqual(t testing.TB, ps []*process) {
	t.Helper()
	await(t, "equal states", 15*time.Second, func() bool {
		for _, p := range ps[1:] {
			if hash(p) != hash(ps[0]) {
				return false
			}
		}
		return true
	})
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

var notLeading = func(err error) bool { return errors.Is(err, leader.ErrNotLeading) }
