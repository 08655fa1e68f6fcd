package stable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"

	"github.com/warrenmq/warren/cluster/log"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestValuesSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable.db")
	s := open(t, path)
	check := func() {
		t.Helper()
		if got := s.Groups(); !slices.Equal(got, []uint64{1, 2}) {
			t.Fatalf("groups %v", got)
		}
		for id := uint64(1); id <= 2; id++ {
			if v, err := s.Group(id).GetUint64([]byte("term")); v != 10*id || err != nil {
				t.Fatalf("group %d: %d, %v", id, v, err)
			}
			if v, err := s.Group(id).Get([]byte("vote")); string(v) != fmt.Sprint("b", id) || err != nil {
				t.Fatalf("group %d: %q, %v", id, v, err)
			}
		}
		for _, id := range []uint64{1, 3} {
			if _, err := s.Group(id).Get([]byte("x")); err == nil || err.Error() != "not found" {
				t.Fatalf("missing: %v", err)
			}
			if _, err := s.Group(id).GetUint64([]byte("x")); err == nil || err.Error() != "not found" {
				t.Fatalf("missing: %v", err)
			}
		}
	}
	for id := uint64(1); id <= 3; id++ {
		for _, vote := range []string{"a", "b"} {
			if err := errors.Join(s.Group(id).SetUint64([]byte("term"), 10*id), s.Group(id).Set([]byte("vote"), fmt.Append(nil, vote, id))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.DropGroup(3); err != nil {
		t.Fatal(err)
	}
	check()
	if _, err := Open(path); !errors.Is(err, log.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	if _, err := s.Group(1).GetUint64([]byte("vote")); !errors.Is(err, log.ErrCorrupt) {
		t.Fatalf("two bytes as a number: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Group(1).Set([]byte("x"), nil); !errors.Is(err, log.ErrStopped) {
		t.Fatalf("closed: %v", err)
	}
	s = open(t, path)
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestManyGroupsShareTransactions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable.db")
	s := open(t, path)
	const groups, rounds = 13, 20
	before := s.db.Stats()
	var wg sync.WaitGroup
	for id := range uint64(groups) {
		wg.Go(func() {
			for i := range uint64(rounds) {
				if err := s.Group(id).SetUint64([]byte("term"), i+1); err != nil {
					t.Error(err)
				}
				if v, err := s.Group(id).GetUint64([]byte("term")); v != i+1 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
	after := s.db.Stats()
	if n := after.TxStats.GetWrite() - before.TxStats.GetWrite(); n >= groups*rounds*3 {
		t.Errorf("%d writes for %d values", n, groups*rounds)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	for id := range uint64(groups) {
		if v, err := s.Group(id).GetUint64([]byte("term")); v != rounds || err != nil {
			t.Fatalf("group %d: %d, %v", id, v, err)
		}
	}
	s.Close()
}

func TestNewerFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable.db")
	s := open(t, path)
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(formatBucket).Put(versionKey, []byte{version + 1})
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(path); !errors.Is(err, log.ErrNewer) {
		t.Fatalf("open: %v", err)
	}
}

// A flipped bit or a cut file is found, or lies where it changes nothing.
func TestDamageIsFound(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "stable.db")
	s := open(t, path)
	for id := range uint64(6) {
		for _, key := range []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"} {
			if err := s.Group(id).SetUint64([]byte(key), 1000+id); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	found := 0
	for i := range 400 {
		b := slices.Clone(whole)
		at := rng.IntN(len(b))
		switch i % 10 {
		case 0:
			b = b[:at]
		case 1, 2: // a meta page: the older one must not be taken
			at = rng.IntN(2)*os.Getpagesize() + rng.IntN(100)
			fallthrough
		default:
			b[at] ^= 1 << rng.IntN(8)
		}
		path := filepath.Join(folder, fmt.Sprint(i))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			found++
			continue
		}
		for id := range uint64(6) {
			if v, err := s.Group(id).GetUint64([]byte("CurrentTerm")); v != 1000+id || err != nil {
				t.Fatalf("flip or cut %d at %d: group %d: %d, %v", i, at, id, v, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatal("nothing was found")
	}
}

func TestHangingWriteEndsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stable.db")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		result := make(chan error, 1)
		go func() { result <- s.Run(t.Context()) }()
		s.pulse.Begin() // as a write that does not return
		began := time.Now()
		if err := <-result; !errors.Is(err, log.ErrStalled) {
			t.Fatalf("run: %v", err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 3500*time.Millisecond {
			t.Fatalf("after %v", took)
		}
		if err := s.Group(1).Set([]byte("x"), nil); !errors.Is(err, log.ErrStalled) {
			t.Fatalf("set: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFailedWriteEndsTheStore(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stable.db"))
	if err := s.Group(1).Set([]byte("x"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Group(1).Set([]byte("x"), []byte("2")); err == nil {
		t.Fatal("written to a closed file")
	}
	if err := s.Run(t.Context()); err == nil {
		t.Fatal("run goes on")
	}
	if v, err := s.Group(1).Get([]byte("x")); string(v) != "1" || err != nil {
		t.Fatalf("%q, %v", v, err)
	}
}

func TestRaftBootsOnIt(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stable.db"))
	defer s.Close()
	logs, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	_, transport := raft.NewInmemTransport("a")
	cfg := raft.DefaultConfig()
	cfg.LocalID, cfg.LogLevel = "a", "ERROR"
	if err := raft.BootstrapCluster(cfg, logs, s.Group(1), snapshots, transport,
		raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}}); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(cfg, &raft.MockFSM{}, logs, s.Group(1), snapshots, transport)
	if err != nil {
		t.Fatal(err)
	}
	<-r.LeaderCh()
	if err := r.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Group(1).GetUint64([]byte("CurrentTerm")); v < 2 || err != nil {
		t.Fatalf("term %d, %v", v, err)
	}
}
