package meta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/warrenmq/warren/cluster/peer"
)

const (
	heartbeatTimeout = time.Second
	leaseTimeout     = 500 * time.Millisecond
	commitTimeout    = time.Second // the notice is faster; this is the fallback
	maxAppend        = 64          // entries of up to 256 KiB in one request
	snapshotLook     = 10 * time.Second
)

// attacher is a transport that wants to know whose it is, to keep the lease and to
// speed up the succession of a killed leader.
type attacher interface{ Attach(*raft.Raft) }

// openRaft starts this node's Raft; a node that forms the cluster begins with
// itself as the only voter, any other with nothing until the leader adds it.
func (m *Meta) openRaft() (*raft.Raft, error) {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(m.cfg.Self.ID)
	conf.HeartbeatTimeout, conf.ElectionTimeout = heartbeatTimeout, heartbeatTimeout
	conf.LeaderLeaseTimeout, conf.CommitTimeout = leaseTimeout, commitTimeout
	conf.MaxAppendEntries = maxAppend
	conf.ShutdownOnRemove = false
	conf.TrailingLogs = m.cfg.TrailingEntries
	conf.SnapshotThreshold = 1 << 40 // by size, not by count: see snapshots
	conf.SnapshotInterval = time.Hour
	conf.NoLegacyTelemetry = true
	conf.Logger = peer.RaftLogger(m.log)

	st := m.cfg.Stores
	if m.ledger.forming() {
		if err := m.firstConfiguration(conf); err != nil {
			return nil, fmt.Errorf("form the meta group: %w", err)
		}
	}
	r, err := raft.NewRaft(conf, m.fsm, st.Log, st.Stable, st.Snapshots, m.cfg.Transport)
	if err != nil {
		select {
		case err = <-m.refused: // Raft says only that it has no snapshot
		default:
		}
		return nil, fmt.Errorf("open the meta group: %w", err)
	}
	if t, ok := m.cfg.Transport.(attacher); ok {
		t.Attach(r)
	}
	return r, nil
}

// firstConfiguration writes the first entry of the group, unless it is there. It
// does not use raft.BootstrapCluster, which refuses for ever after a crash between
// its two writes.
func (m *Meta) firstConfiguration(conf *raft.Config) error {
	st := m.cfg.Stores
	last, err := st.Log.LastIndex()
	if err != nil || last > 0 {
		return err
	}
	if snaps, err := st.Snapshots.List(); err != nil || len(snaps) > 0 {
		return err
	}
	first := raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: conf.LocalID, Address: raft.ServerAddress(conf.LocalID),
	}}}
	if err := st.Stable.SetUint64([]byte("CurrentTerm"), 1); err != nil {
		return err
	}
	return st.Log.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(first)})
}

// snapshots takes one when the entries since the last outgrow both the limit and
// the state itself.
func (m *Meta) snapshots(ctx context.Context, r *raft.Raft) {
	tick := time.NewTicker(snapshotLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if m.fsm.logBytes.Load() < max(int64(m.cfg.SnapshotBytes), m.fsm.lastBytes.Load()) {
			continue
		}
		if err := r.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && ctx.Err() == nil {
			m.log.Error("cannot take a snapshot of the meta group", "error", err)
		}
	}
}
