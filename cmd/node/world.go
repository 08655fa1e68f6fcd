package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/log"
	"github.com/warrenmq/warren/cluster/log/stable"
	"github.com/warrenmq/warren/cluster/meta"
)

// snapshotsKept is how many local snapshots a queue group keeps.
const snapshotsKept = 2

// withDefaults fills in the real world.
func (w World) withDefaults() World {
	if w.Identity == nil {
		w.Identity = func(dir, name string) (Identity, error) { return OpenFolder(dir, name) }
	}
	if w.FS == nil {
		w.FS = log.OSFS()
	}
	if w.Listen == nil {
		w.Listen = listenTCP
	}
	if w.Dial == nil {
		w.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	}
	if w.MetaStores == nil {
		w.MetaStores = meta.OpenStores
	}
	if w.Stable == nil {
		w.Stable = func(path string) (Stable, error) { return stable.Open(path) }
	}
	if w.Snapshots == nil {
		w.Snapshots = openSnapshots
	}
	if w.DropSnapshots == nil {
		w.DropSnapshots = func(dir string, group uint64) error { return os.RemoveAll(snapshotsOf(dir, group)) }
	}
	if w.Resources == nil {
		w.Resources = func(dataDir string) alarm.Resources { return alarm.NewMachine(dataDir) }
	}
	if w.Ready == nil {
		w.Ready = func(*Node) {}
	}
	return w
}

func snapshotsOf(dir string, group uint64) string {
	return filepath.Join(dir, strconv.FormatUint(group, 10))
}

// openSnapshots opens a group's snapshots, without those that were never finished,
// which hashicorp/raft leaves.
func openSnapshots(dir string, group uint64) (raft.SnapshotStore, error) {
	dir = snapshotsOf(dir, group)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	unfinished, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp"))
	if err != nil {
		return nil, err
	}
	for _, path := range unfinished {
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
	}
	return raft.NewFileSnapshotStore(dir, snapshotsKept, io.Discard)
}

// listenTCP listens, with an error in an operator's words.
func listenTCP(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use by another process", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return ln, nil
}

// Incarnation is as old as the data folder.
func (f *Folder) Incarnation() string { return f.id.Incarnation }

// Epoch is the number of this start.
func (f *Folder) Epoch() uint64 { return f.id.Epoch }
