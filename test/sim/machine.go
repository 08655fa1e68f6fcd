package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/log/memfs"
	"github.com/warrenmq/warren/cluster/membership/memnet"
	"github.com/warrenmq/warren/cluster/meta"
	"github.com/warrenmq/warren/cmd/node"
)

// errDead is what a process that has ended meets everywhere.
var errDead = errors.New("the process has ended")

// Machine is where a node's processes run, one after another.
type Machine struct {
	c    *Cluster
	Name string
	host string

	joins bool // a cluster that is there

	mu      sync.Mutex
	disk    *disk
	process *process // nil while none runs
	dark    bool     // without power since the last process
	sync    time.Duration
}

// process is one life of a node.
type process struct {
	machine  *Machine
	files    *memfs.FS
	writes   writes
	gossip   *memnet.Transport
	cancel   context.CancelFunc
	dead     atomic.Bool // it has no network
	detached atomic.Bool // set with the disk's lock held: it has no part in what is kept
	doomed   atomic.Bool // its end is wanted
	ready    chan struct{}
	ended    chan struct{} // node.Run has returned
	err      error         // why
	node     *node.Node    // once ready
}

// Start starts the node's process.
func (m *Machine) Start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		return
	}
	if m.dark {
		m.c.network.Return(m.host)
		m.dark = false
	}
	m.disk.mu.Lock()
	m.disk.epoch++
	files := m.disk.files
	m.disk.mu.Unlock()
	files.Slow(m.sync)
	gossip, err := m.c.gossip.Listen(m.host + gossipPort)
	if err != nil {
		m.c.tb.Errorf("%s: %v", m.Name, err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{
		machine: m, files: files, gossip: gossip, cancel: cancel,
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	m.process = p
	m.c.logger.Info("-- process starts", "node", m.Name, "epoch", m.disk.epoch)
	m.c.running.Go(func() {
		p.err = node.Run(ctx, m.config(p))
		close(p.ended)
		if !p.doomed.Load() {
			m.c.failure("%s: the process ended by itself: %v", m.Name, p.err)
		}
		m.end(p, false)
	})
}

// Kill ends the process as kill -9 does: the machine resets its connections, and
// what was written and not synced stays.
func (m *Machine) Kill() {
	if p := m.running(); p != nil {
		m.c.logger.Info("-- kill", "node", m.Name)
		p.doomed.Store(true)
		m.end(p, false)
	}
}

// Crash is a power cut: nobody is told, and what was not synced may be lost.
func (m *Machine) Crash() {
	if p := m.running(); p != nil {
		m.c.logger.Info("-- power cut", "node", m.Name)
		p.doomed.Store(true)
		m.end(p, true)
	}
}

// Stop ends the process in order, and waits for that.
func (m *Machine) Stop() {
	if p := m.running(); p != nil {
		m.c.logger.Info("-- stop", "node", m.Name)
		p.doomed.Store(true)
		p.cancel()
		<-p.ended
		m.end(p, false)
	}
}

// end takes everything from a process: from this instant on it is as if it did not
// run. What is left of it goes on with a disk of its own and nobody to talk to. The
// network goes first, so that nobody hears of what the disk has not kept.
func (m *Machine) end(p *process, dark bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != p {
		return
	}
	m.process = nil
	m.dark = dark
	p.dead.Store(true)
	if dark {
		m.c.network.Vanish(m.host)
		p.gossip.Crash()
	} else if err := p.gossip.Shutdown(); err != nil {
		m.c.failure("%s: gossip: %v", m.Name, err)
	}
	m.c.network.Kill(m.host) // in the dark it is felt when the machine is back
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	p.detached.Store(true)
	if dark {
		m.disk.files = p.files.Fork()
	} else {
		m.disk.files = p.files.Clone()
	}
	p.files.Release()
	p.files.FailWrites(nil)
	p.files.FailSync(nil)
	p.cancel()
}

// Wipe gives a machine whose node does not run an empty disk.
func (m *Machine) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.c.logger.Info("-- new disk", "node", m.Name)
	m.disk = m.c.disk()
}

func (m *Machine) running() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// Node is the running node, nil while it does not serve.
func (m *Machine) Node() *node.Node {
	p := m.running()
	if p == nil {
		return nil
	}
	select {
	case <-p.ready:
		return p.node
	default:
		return nil
	}
}

// SlowDisk makes every sync take d.
func (m *Machine) SlowDisk(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sync = d
	m.disk.files.Slow(d)
}

// BreakDisk makes the disk hang, or fail whatever is to be written, until the
// process has ended, which it has to see to itself.
func (m *Machine) BreakDisk(hang bool) (ended <-chan struct{}) {
	p := m.running()
	if p == nil {
		return nil
	}
	p.doomed.Store(true)
	if hang {
		m.c.logger.Info("-- disk hangs", "node", m.Name)
		p.files.Hang()
		return p.ended
	}
	m.c.logger.Info("-- disk fails", "node", m.Name)
	p.files.FailWrites(syscall.EIO)
	p.files.FailSync(syscall.EIO)
	return p.ended
}

// config is what the node is told.
func (m *Machine) config(p *process) node.Config {
	cfg := node.Config{
		Name: m.Name, DataDir: "/data", Listen: m.host + amqpPort, Gossip: m.host + gossipPort, Peer: m.host + peerPort,
		Expect: len(m.c.Machines), LoopbackUsers: []string{}, StopTimeout: 10 * time.Second,
		Logger: slog.New(&nodeHandler{m.c.log, m.Name, p}),
		World: node.World{
			Identity: func(string, string) (node.Identity, error) { return identity{m.disk.incarnation, m.disk.epoch}, nil },
			FS:       p.files,
			Segments: segmentBytes,
			Listen:   p.listen,
			Dial:     p.dial,
			Gossip:   p.gossip,
			MetaStores: func(string) (meta.Stores, io.Closer, error) {
				s := p.store("meta")
				return meta.Stores{Log: s, Stable: s, Snapshots: s}, nothing{}, nil
			},
			Stable:    func(string) (node.Stable, error) { return stable{p}, nil },
			Snapshots: func(_ string, group uint64) (raft.SnapshotStore, error) { return p.group(group), nil },
			DropSnapshots: func(_ string, group uint64) error {
				p.group(group).drop()
				return nil
			},
			Ready: func(n *node.Node) {
				p.node = n
				close(p.ready)
			},
			SnapshotLimits: m.c.limits,
			NoControl:      true,
			Resources:      func(string) alarm.Resources { return roomy{} },
		},
	}
	if m.joins {
		cfg.Expect = 0
	}
	for _, other := range m.c.Machines {
		cfg.Seeds = append(cfg.Seeds, other.host+gossipPort)
	}
	return cfg
}

// roomy is a machine that is never short.
type roomy struct{}

func (roomy) Memory() (used, total uint64, err error) { return 1 << 20, 1 << 30, nil }
func (roomy) DiskFree() (uint64, error)               { return 1 << 40, nil }

func (p *process) group(id uint64) *store { return p.store(fmt.Sprint("group ", id)) }

func (p *process) listen(addr string) (net.Listener, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	ln, err := p.machine.c.network.Listen(addr)
	if err == nil && p.dead.Load() {
		ln.Close()
		return nil, errDead
	}
	return ln, err
}

func (p *process) dial(ctx context.Context, addr string) (net.Conn, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	nc, err := p.machine.c.network.Dialer(p.machine.host)(ctx, addr)
	if err == nil && p.dead.Load() {
		nc.Close()
		return nil, errDead
	}
	return nc, err
}

type nothing struct{}

func (nothing) Close() error { return nil }

type identity struct {
	incarnation string
	epoch       uint64
}

func (i identity) Incarnation() string { return i.incarnation }
func (i identity) Epoch() uint64       { return i.epoch }
func (i identity) Close() error        { return nil }
