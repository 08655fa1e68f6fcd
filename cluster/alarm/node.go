package alarm

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

const (
	// measureEvery is how often a node measures itself.
	measureEvery = time.Second
	// forgetAfter is how long another node's word counts. It is repeated once a
	// second at least; a link that is silent for three is broken.
	forgetAfter = 4 * time.Second
)

// Resources are what a node measures of itself.
type Resources interface {
	// Memory is what the process uses, as the kernel counts it, and what it may use.
	Memory() (used, total uint64, err error)
	// DiskFree is what can still be written to the data folder.
	DiskFree() (uint64, error)
}

// Config is what Alarms are made of. Zero values of the limits are the defaults.
type Config struct {
	Self      string // ServerID
	Resources Resources

	Watermark     Limit // memory beyond it is an alarm
	DiskFreeLimit Limit // free disk below it is one
	// DiskNeeded is what the node needs on its disk to go on; a limit of free disk, if
	// there is one, counts as so much at least.
	DiskNeeded uint64

	// Tell hears this node's own alarms when they change; it passes them on to
	// the other nodes, and repeats them. It must not block.
	Tell func(Kind)
	// Locate finds who leads a queue's group, or holds it in memory, and all who
	// store its messages. "" is a leader that is not known.
	Locate func(queue.ID) (leader string, replicas []string, ok bool)
	// MemoryLimit, if set, hears the watermark in bytes, first when Run begins.
	MemoryLimit func(bytes uint64)
	Logger      *slog.Logger
}

// Status is what a node last measured, and where it draws the line.
type Status struct {
	MemoryUsed, MemoryTotal, MemoryLimit uint64
	DiskFree, DiskFreeLimit              uint64
	Watermark, DiskLimit                 Limit // as they were set
	Alarms                               Kind
}

// Alarms are those of all nodes, as this one knows them.
type Alarms struct {
	cfg Config
	// short is nil while no node is short, which is what a publish looks at.
	short   atomic.Pointer[short]
	measure chan struct{} // a limit was changed

	mu     sync.Mutex
	status Status
	failed map[string]string // what could not be measured, and why
	others map[string]word
}

// word is what another node last said of itself.
type word struct {
	kind Kind
	at   time.Time
}

// short are the nodes that are short, none of them with Kind None.
type short struct {
	nodes   map[string]Kind
	changed chan struct{} // closed when this is void, within a second at the latest
}

// New makes Alarms; Run measures.
func New(cfg Config) (*Alarms, error) {
	if cfg.Self == "" || cfg.Resources == nil || cfg.Locate == nil {
		return nil, errors.New("alarm: the node, its resources and the queues' places are needed")
	}
	if cfg.Watermark == (Limit{}) {
		cfg.Watermark = DefaultWatermark
	}
	if cfg.DiskFreeLimit == (Limit{}) {
		cfg.DiskFreeLimit = DefaultDiskFreeLimit
	}
	if cfg.Tell == nil {
		cfg.Tell = func(Kind) {}
	}
	if cfg.MemoryLimit == nil {
		cfg.MemoryLimit = func(uint64) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Alarms{
		cfg:     cfg,
		measure: make(chan struct{}, 1),
		status:  Status{Watermark: cfg.Watermark, DiskLimit: cfg.DiskFreeLimit},
		failed:  make(map[string]string),
		others:  make(map[string]word),
	}, nil
}

// Run measures until ctx ends.
func (a *Alarms) Run(ctx context.Context) error {
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		a.look()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-a.measure:
		}
	}
}

// look measures once, forgets the words that were not repeated, and lets whoever
// waits look again: a queue may be led by another node now.
func (a *Alarms) look() {
	used, total, memoryErr := a.cfg.Resources.Memory()
	free, diskErr := a.cfg.Resources.DiskFree()
	a.remark("memory", memoryErr)
	a.remark("free disk", diskErr)

	a.mu.Lock()
	before := a.status
	s := &a.status
	s.MemoryUsed, s.MemoryTotal, s.DiskFree = used, total, free
	s.MemoryLimit, s.DiskFreeLimit = s.Watermark.Of(total), s.DiskLimit.Of(total)
	if s.DiskFreeLimit > 0 {
		s.DiskFreeLimit = max(s.DiskFreeLimit, a.cfg.DiskNeeded)
	}
	s.Alarms = None
	if memoryErr == nil && used > s.MemoryLimit {
		s.Alarms |= Memory
	}
	if diskErr == nil && free < s.DiskFreeLimit {
		s.Alarms |= Disk
	}
	for id, w := range a.others {
		if time.Since(w.at) >= forgetAfter {
			delete(a.others, id)
			a.cfg.Logger.Info("alarms of a node that is gone count no more", "node", id, "alarms", w.kind.String())
		}
	}
	now := *s
	a.publish(true)
	a.mu.Unlock()

	if memoryErr == nil && now.MemoryLimit != before.MemoryLimit {
		a.cfg.MemoryLimit(now.MemoryLimit)
	}
	if now.Alarms != before.Alarms {
		a.announce(now, before.Alarms)
	}
}

// announce tells the log and the other nodes.
func (a *Alarms) announce(s Status, before Kind) {
	for _, k := range []Kind{Memory, Disk} {
		switch {
		case s.Alarms&k != 0 && before&k == 0:
			a.cfg.Logger.Warn("resource alarm set: publishers to queues of this node wait", "resource", k.String(),
				"memory_used", s.MemoryUsed, "memory_limit", s.MemoryLimit, "disk_free", s.DiskFree, "disk_free_limit", s.DiskFreeLimit)
		case s.Alarms&k == 0 && before&k != 0:
			a.cfg.Logger.Warn("resource alarm cleared", "resource", k.String())
		}
	}
	a.cfg.Tell(s.Alarms)
}

// remark logs what cannot be measured when that begins; it raises no alarm, as
// with RabbitMQ.
func (a *Alarms) remark(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if text != "" && a.failed[what] == "" {
		a.cfg.Logger.Warn("a resource cannot be measured: it raises no alarm", "resource", what, "error", err)
	}
	a.failed[what] = text
}

// publish makes known who is short; renew voids what was known even if it is the
// same. a.mu is held.
func (a *Alarms) publish(renew bool) {
	nodes := make(map[string]Kind, len(a.others)+1)
	for id, w := range a.others {
		nodes[id] = w.kind
	}
	if a.status.Alarms != None {
		nodes[a.cfg.Self] = a.status.Alarms
	}
	before := a.short.Load()
	if before != nil && !renew && maps.Equal(before.nodes, nodes) {
		return
	}
	var now *short
	if len(nodes) > 0 {
		now = &short{nodes: nodes, changed: make(chan struct{})}
	}
	a.short.Store(now)
	if before != nil {
		close(before.changed)
	}
}

// Heard takes in what another node says of itself.
func (a *Alarms) Heard(serverID string, k Kind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, known := a.others[serverID]
	if k == None {
		delete(a.others, serverID)
	} else {
		a.others[serverID] = word{k, time.Now()}
	}
	if k != old.kind {
		a.cfg.Logger.Info("alarms of another node", "node", serverID, "alarms", k.String(), "before", old.kind.String())
	}
	if known || k != None {
		a.publish(false)
	}
}

// Gone forgets a node whose process has ended.
func (a *Alarms) Gone(serverID string) { a.Heard(serverID, None) }

// SetWatermark changes the memory watermark of this node until it restarts.
func (a *Alarms) SetWatermark(l Limit) { a.set(func(s *Status) { s.Watermark = l }) }

// SetDiskFreeLimit changes the limit of free disk of this node until it restarts.
func (a *Alarms) SetDiskFreeLimit(l Limit) { a.set(func(s *Status) { s.DiskLimit = l }) }

func (a *Alarms) set(change func(*Status)) {
	a.mu.Lock()
	change(&a.status)
	a.mu.Unlock()
	select {
	case a.measure <- struct{}{}:
	default:
	}
}

// Status is what this node last measured.
func (a *Alarms) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}

// Short is what a node is short of, as far as this one knows.
func (a *Alarms) Short(serverID string) Kind {
	if s := a.short.Load(); s != nil {
		return s.nodes[serverID]
	}
	return None
}

// Nodes are the nodes that are short, by ServerID.
func (a *Alarms) Nodes() map[string]Kind {
	if s := a.short.Load(); s != nil {
		return maps.Clone(s.nodes)
	}
	return map[string]Kind{}
}
