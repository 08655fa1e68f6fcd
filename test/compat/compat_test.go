package compat

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

// broker starts what is under test and ends it with the test.
func broker(t *testing.T) *cluster.Set {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import pika").CombinedOutput(); err != nil {
		t.Fatalf("Debian's python3-pika is missing, test/deps installs it: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var s *cluster.Set
	if rabbit() {
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

// rabbit says whether the cases are tried on RabbitMQ.
func rabbit() bool { return os.Getenv("WARREN_COMPAT") == "rabbitmq" }

// TestBroker runs all scripts against one cluster: first what single clients
// see, through every node, then the tutorials, which end and restart all nodes.
func TestBroker(t *testing.T) {
	s := broker(t)
	t.Run("pika", func(t *testing.T) {
		for i, n := range s.Nodes {
			cases, err := Script(t.Context(), "behaviours.py", n.AMQP, s.Nodes[(i+1)%len(s.Nodes)].AMQP)
			tell(t, "through "+n.Name, cases)
			if err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("tutorials", func(t *testing.T) {
		end := s.Kill
		if rabbit() { // Mnesia may forget a queue that was declared within the last seconds
			end = func() error { return s.Stop(t.Context()) }
		}
		if err := Tutorial(t.Context(), s, end, func(where string, cases []Case) { tell(t, where, cases) }); err != nil {
			t.Fatal(err)
		}
	})
}

// tell makes a test of each case of a script.
func tell(t *testing.T, where string, cases []Case) {
	for _, c := range cases {
		t.Run(where+"/"+c.Name, func(t *testing.T) {
			if c.Err != nil {
				t.Error(c.Err)
			}
		})
	}
}
