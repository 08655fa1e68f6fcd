package scenarios

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

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
		b, w, err := diff.StartWarren(ctx)
		if errs[1] = err; err == nil {
			warren = b
			t.Cleanup(func() {
				if t.Failed() {
					w.Keep()
					t.Logf("Warren's logs and data are in %s", w.Dir)
				}
				if err := w.Close(); err != nil {
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
