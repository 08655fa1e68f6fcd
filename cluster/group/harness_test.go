package group

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
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
	snapshots *shelf
	adopted   *adopted
}

func newDisk(seed uint64) *disk {
	return &disk{fs: memfs.New(seed), stable: raft.NewInmemStore(), snapshots: &shelf{}, adopted: &adopted{gone: make(map[uint64]bool)}}
}

// world is a network with nodes that host groups.
type world struct {
	t         testing.TB
	network   *memconn.Network
	disks     map[string]*disk
	epochs    uint64
	mu        sync.Mutex
	preferred string
	yielding  []string // as all know

	limits   SnapshotLimits
	rate     int64 // of snapshots
	segments int64
	replicas []string // whom a damaged replica asks

	sockets   bool // real ones, and the log in memory without a disk below it
	addresses sync.Map
}

func newWorld(t testing.TB) *world {
	return &world{t: t, network: memconn.New(), disks: make(map[string]*disk), segments: 1 << 20, replicas: three}
}

func (w *world) prefer(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.preferred = id
}

func (w *world) yield(ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.yielding = ids
}

// entries is a log in memory, for benchmarks: nothing is adopted, and what Raft
// releases is gone.
type entries struct{ *raft.InmemStore }

func (e entries) Payload(index uint64) ([]byte, error) {
	_, b, err := e.Body(index)
	return b, err
}

func (e entries) Body(index uint64) (uint64, []byte, error) {
	var l raft.Log
	err := e.GetLog(index, &l)
	return l.Term, l.Data, err
}

func (e entries) Has(index uint64) bool {
	_, _, err := e.Body(index)
	return err == nil
}

func (e entries) Adopt(uint64, uint64, []byte) error { return errors.ErrUnsupported }
func (e entries) SyncAdopted() error                 { return errors.ErrUnsupported }
func (e entries) SetLive(log.Live)                   {}

// shelf keeps snapshots in memory.
type shelf struct {
	mu    sync.Mutex
	taken []*shelved // newest first
	last  int
}

type shelved struct {
	meta raft.SnapshotMeta
	data []byte
}

func (s *shelf) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return &shelfSink{shelf: s, shelved: shelved{meta: raft.SnapshotMeta{
		Version: v, ID: fmt.Sprint(s.last), Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex,
	}}}, nil
}

func (s *shelf) List() (list []*raft.SnapshotMeta, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.taken {
		meta := t.meta
		list = append(list, &meta)
	}
	return list, nil
}

func (s *shelf) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.taken {
		if t.meta.ID == id {
			meta := t.meta
			return &meta, io.NopCloser(bytes.NewReader(t.data)), nil
		}
	}
	return nil, nil, errors.New("no such snapshot")
}

func (s *shelf) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = nil
}

type shelfSink struct {
	shelf *shelf
	shelved
	over bool
}

func (k *shelfSink) ID() string { return k.meta.ID }

func (k *shelfSink) Cancel() error {
	k.over = true
	return nil
}

func (k *shelfSink) Write(b []byte) (int, error) {
	k.data = append(k.data, b...)
	return len(b), nil
}

func (k *shelfSink) Close() error {
	if k.over {
		return nil
	}
	k.over = true
	k.meta.Size = int64(len(k.data))
	k.shelf.mu.Lock()
	defer k.shelf.mu.Unlock()
	done := k.shelved
	k.shelf.taken = append([]*shelved{&done}, k.shelf.taken...)
	k.shelf.taken = k.shelf.taken[:min(2, len(k.shelf.taken))]
	return nil
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
	log       *log.Log
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
	transports, err := peer.NewTransports(peer.TransportsConfig{Identity: identity, Conns: conns, SnapshotRate: w.rate, Logger: quiet}, server)
	w.check(err)
	shared, err := log.Open(d.fs, "log", log.Config{
		SegmentBytes: w.segments, Thin: queue.Thin, Logger: quiet,
		OnCorrupt: func(id uint64, cause error) { go p.host.Rebuild(id, cause) },
	})
	w.check(err)
	p.log = shared
	p.host, err = NewHost(Config{
		Self: id,
		Entries: func(g uint64) (Entries, error) {
			if w.sockets {
				return entries{raft.NewInmemStore()}, nil
			}
			return &reclaiming{Group: shared.Group(g), adopted: d.adopted}, nil
		},
		Stable:         func(uint64) (raft.StableStore, error) { return d.stable, nil },
		Snapshots:      func(uint64) (raft.SnapshotStore, error) { return d.snapshots, nil },
		Transport:      func(g uint64) Transport { return transport{transports.Transport(g)} },
		SnapshotLimits: w.limits,
		Replicas:       func(uint64) []string { return w.replicas },
		Expel:          transports.Expel,
		Wipe: func(id uint64) error {
			d.snapshots.clear()
			d.adopted.drop()
			return shared.DropGroup(id)
		},
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
		Yields: func(id string) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Contains(w.yielding, id)
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

func reader(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
