package meta

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	pb "github.com/warrenmq/warren/proto"
)

const (
	lookInterval = 250 * time.Millisecond
	askTimeout   = time.Second
)

// bind returns when the node belongs to a cluster: one that it found formed, or
// one that it formed itself.
func (m *Meta) bind(ctx context.Context) error {
	var reported time.Time
	for m.ledger.clusterID() == "" {
		if err := ctx.Err(); err != nil {
			return err
		}
		seen := m.survey(ctx)
		if time.Since(reported) >= waitReport {
			m.log.Info("looks for its cluster", "sees", len(seen)+1, "expects", m.cfg.Expect, "promised", m.ledger.promisedTo())
			reported = time.Now()
		}
		done, err := m.bindOnce(ctx, seen)
		if err != nil {
			return err
		}
		if !done {
			// A random pause, so that two candidates do not meet for ever.
			pause(ctx, lookInterval+mathrand.N(lookInterval))
		}
	}
	return nil
}

// bindOnce joins a cluster among those seen or, if it is for this node to do so,
// tries to form one.
func (m *Meta) bindOnce(ctx context.Context, seen []*pb.MetaStatusResponse) (bool, error) {
	if id, err := formedCluster(seen); id != "" || err != nil {
		if err != nil {
			m.log.Error("cannot join", "error", err)
			return false, nil
		}
		m.log.Info("joining the cluster", "cluster", id)
		return true, m.ledger.join(id)
	}
	for _, s := range seen {
		if err := m.ledger.release(s); err != nil {
			return false, err
		}
	}
	others, ok := m.candidacy(seen)
	if !ok {
		return false, nil
	}
	attempt, ok := m.ledger.try()
	if !ok {
		return false, nil
	}
	if !m.promised(ctx, others, attempt) {
		m.ledger.stop()
		return false, nil
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return false, fmt.Errorf("make a cluster id: %w", err)
	}
	if err := m.ledger.form(hex.EncodeToString(id[:])); err != nil {
		return false, err
	}
	m.log.Info("formed a cluster", "cluster", m.ledger.clusterID(), "nodes", len(others)+1)
	return true, nil
}

// survey asks every other live member what it is.
func (m *Meta) survey(ctx context.Context) []*pb.MetaStatusResponse {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var (
		asks sync.WaitGroup
		mu   sync.Mutex
		seen []*pb.MetaStatusResponse
	)
	for _, id := range m.liveOthers() {
		asks.Go(func() {
			conn, err := m.cfg.Conns.Conn(id)
			if err != nil {
				return
			}
			s, err := pb.NewBootstrapClient(conn).Status(ctx, &pb.MetaStatusRequest{})
			if err != nil || s.GetServerId() != id {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s)
		})
	}
	asks.Wait()
	return seen
}

func (m *Meta) liveOthers() (ids []string) {
	for _, mem := range m.cfg.Members() {
		if mem.Alive && mem.ID != m.cfg.Self.ID {
			ids = append(ids, mem.ID)
		}
	}
	return ids
}

func formedCluster(seen []*pb.MetaStatusResponse) (string, error) {
	id := ""
	for _, s := range seen {
		if other := s.GetClusterId(); other != "" && id != "" && other != id {
			return "", fmt.Errorf("two clusters are in sight, %s and %s", id, other)
		}
		id = cmp.Or(s.GetClusterId(), id)
	}
	return id, nil
}

// candidacy reports whether this node has the smallest name among the fresh nodes
// that are expected, and who the others are.
func (m *Meta) candidacy(seen []*pb.MetaStatusResponse) ([]string, bool) {
	if m.cfg.Expect == 0 || len(seen)+1 < m.cfg.Expect {
		return nil, false
	}
	slices.SortFunc(seen, func(a, b *pb.MetaStatusResponse) int {
		return cmp.Or(strings.Compare(a.GetName(), b.GetName()), strings.Compare(a.GetServerId(), b.GetServerId()))
	})
	var others []string
	for _, s := range seen[:m.cfg.Expect-1] {
		if s.GetName() < m.cfg.Self.Name {
			return nil, false
		}
		others = append(others, s.GetServerId())
	}
	return others, true
}

// promised asks the others for their promises and reports whether all gave them.
func (m *Meta) promised(ctx context.Context, others []string, attempt *pb.MetaAttempt) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req := &pb.MetaPromiseRequest{Candidate: m.cfg.Self.ID, Attempt: attempt}
	granted := make(chan bool, len(others))
	for _, id := range others {
		go func() {
			conn, err := m.cfg.Conns.Conn(id)
			if err != nil {
				granted <- false
				return
			}
			resp, err := pb.NewBootstrapClient(conn).Promise(ctx, req)
			granted <- err == nil && resp.GetGranted()
		}()
	}
	all := true
	for range others {
		all = <-granted && all
	}
	return all
}
