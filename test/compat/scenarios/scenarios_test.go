package scenarios

import (
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/compat/diff"
)

// workers is how many scenarios run at once: they wait more than they work.
const workers = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", workers); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// only is the one broker whose transcripts are to be shown and not compared,
// "rabbitmq" or "warren": for whoever writes a scenario.
func only() string { return os.Getenv("WARREN_COMPAT_ONLY") }

// brokers starts one RabbitMQ and three Warren nodes, which end with the test.
func brokers(t *testing.T) *diff.Runner {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var rabbit, warren *diff.Broker
	var errs [2]error
	var both sync.WaitGroup
	start := func(name string, do func()) {
		if only() == "" || only() == name {
			both.Go(do)
		}
	}
	start("rabbitmq", func() {
		b, end, err := diff.StartRabbitMQ(ctx)
		if errs[0] = err; err == nil {
			rabbit = b
			t.Cleanup(func() {
				if err := end(); err != nil {
					t.Error(err)
				}
			})
		}
	})
	start("warren", func() {
		b, end, w, err := diff.StartWarren(ctx)
		if errs[1] = err; err == nil {
			warren = b
			t.Cleanup(func() {
				healthy(t, w)
				if t.Failed() {
					w.Keep()
					t.Logf("Warren's logs and data are in %s", w.Dir)
				}
				if err := end(); err != nil {
					t.Error(err)
				}
			})
		}
	})
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return diff.NewRunner(rabbit, warren)
}

// healthy wants every node to have come through all scenarios without a fault.
func healthy(t *testing.T, w *cluster.Warren) {
	t.Helper()
	for _, n := range w.Nodes {
		if !n.Running() {
			t.Errorf("%s has ended; its log ends with:\n%s", n.Name, n.Log.Tail(20))
		}
		for _, line := range slices.Concat(n.Log.Matching(0, "panic"), n.Log.Matching(0, "level=ERROR")) {
			t.Errorf("%s: %s", n.Name, line)
		}
	}
}

// TestScenarios is the differential test. A row's scenarios alone:
//
//	go test ./test/compat/scenarios -run 'TestScenarios/./E2'
//	WARREN_COMPAT_ONLY=rabbitmq go test ./test/compat/scenarios -v -run 'TestScenarios/./E2'
func TestScenarios(t *testing.T) {
	r := brokers(t)
	try := func(sc diff.Scenario) func(*testing.T) {
		return func(t *testing.T) {
			if !sc.Alone {
				t.Parallel()
			}
			if only() != "" {
				t.Log(r.Show(t.Context(), &sc))
				return
			}
			for _, wrong := range r.Try(t.Context(), &sc) {
				t.Error(wrong)
			}
		}
	}
	t.Run("together", func(t *testing.T) {
		for _, sc := range All() {
			if !sc.Alone {
				t.Run(testName(sc.Name), try(sc))
			}
		}
	})
	t.Run("alone", func(t *testing.T) {
		for _, sc := range All() {
			if sc.Alone {
				t.Run(testName(sc.Name), try(sc))
			}
		}
	})
}

// testName keeps rows and sentence in one level of go test -run.
func testName(name string) string { return strings.Replace(name, "/", ": ", 1) }
