package clients

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/script"
)

const (
	startLimit    = 2 * time.Minute
	featuresLimit = 3 * time.Minute
	blockedLimit  = 90 * time.Second
	recoveryLimit = 2 * time.Minute

	// sideBySide is how many scripts use features at once: most of their time they wait.
	sideBySide = 4
)

func TestClients(t *testing.T) {
	scratch, err := os.MkdirTemp("", "clients-") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(scratch) })
	b, err := newToolbox(scratch)
	if err != nil {
		t.Fatal(err)
	}
	all := b.programs()
	for _, p := range all {
		if err := b.check(p); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		return
	}
	s := broker(t)
	t.Run("features", func(t *testing.T) { features(t, b, all, s) })
	t.Run("blocked", func(t *testing.T) { blocked(t, b, all, s) })
	t.Run("recovery", func(t *testing.T) { recovery(t, b, all, s) })
}

// broker starts what is under test and ends it with the test.
func broker(t *testing.T) *cluster.Set {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	var s *cluster.Set
	if os.Getenv("WARREN_COMPAT") == "rabbitmq" {
		var err error
		if s, err = cluster.RunRabbitMQ(ctx, 3); err != nil {
			t.Fatal(err)
		}
	} else {
		w, err := cluster.Run(ctx, cluster.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s = &w.Set
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.Keep()
			t.Logf("logs and data are in %s", s.Dir)
		}
		if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// tell makes a test of each case of a script.
func tell(t *testing.T, cases []script.Case, err error) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if c.Err != nil {
				t.Error(c.Err)
			}
		})
	}
	if err != nil {
		t.Error(err)
	}
}

// features runs all scripts, some side by side, each beginning at another node.
func features(t *testing.T, b *toolbox, all []program, s *cluster.Set) {
	slots := make(chan struct{}, sideBySide)
	for i, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(t.Context(), featuresLimit)
			defer cancel()
			cases, err := script.Run(ctx, b.command(p, "features", s.Addrs(), i))
			tell(t, cases, err)
		})
	}
}

// running is a script under way in a phase that is done to all at once.
type running struct {
	program
	*script.Program
}

// start starts the scripts that have a phase and waits until they are under way.
func start(ctx context.Context, t *testing.T, b *toolbox, all []program, phase string, marks func(program) []string, s *cluster.Set, first func(int) int) []running {
	var started []running
	for i, p := range all {
		if len(marks(p)) == 0 {
			continue
		}
		r, err := script.Start(ctx, b.command(p, phase, s.Addrs(), first(i)))
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, running{p, r})
	}
	for _, r := range started {
		for _, mark := range marks(r.program) {
			if err := r.Await(ctx, mark); err != nil {
				t.Error(err) // Wait tells why
			}
		}
	}
	return started
}

// blocked lets all nodes be short of disk while the scripts publish.
func blocked(t *testing.T, b *toolbox, all []program, s *cluster.Set) {
	ctx, cancel := context.WithTimeout(t.Context(), blockedLimit)
	defer cancel()
	marks := func(p program) []string {
		if !p.blocked {
			return nil
		}
		return []string{"publishing"}
	}
	publishers := start(ctx, t, b, all, "blocked", marks, s, func(i int) int { return i })
	limit := func(bytes string) {
		for _, n := range s.Nodes {
			if err := n.LimitDisk(ctx, bytes); err != nil {
				t.Fatal(err)
			}
		}
	}
	limit("900000GB")
	for _, p := range publishers {
		if err := p.Await(ctx, "blocked"); err != nil {
			t.Error(err)
		}
	}
	limit("50MB")
	for _, p := range publishers {
		t.Run(p.name, func(t *testing.T) {
			cases, err := p.Wait()
			tell(t, cases, err)
		})
	}
}

// recovery kills the node that all scripts are connected to while they publish
// and consume, and starts it again for those that know no other.
func recovery(t *testing.T, b *toolbox, all []program, s *cluster.Set) {
	ctx, cancel := context.WithTimeout(t.Context(), recoveryLimit)
	defer cancel()
	marks := func(p program) []string { return p.recovery }
	scripts := start(ctx, t, b, all, "recovery", marks, s, func(int) int { return 0 })
	if err := s.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	end := func(returns bool) {
		for _, r := range scripts {
			if r.returns == returns {
				t.Run(r.name, func(t *testing.T) {
					cases, err := r.Wait()
					tell(t, cases, err)
				})
			}
		}
	}
	end(false)
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	end(true)
}
