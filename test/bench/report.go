package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

const startLimit = 2 * time.Minute

// Run measures the workloads on Warren and, where it is installed, on RabbitMQ
// with quorum queues, one cluster at a time, and prints a line for each.
func Run(ctx context.Context, out io.Writer, workloads []Workload) (warren, rabbit []Result, err error) {
	fmt.Fprintf(out, "%-16s %-26s %9s %9s %9s %9s %7s %8s\n", "broker", "workload", "msg/s", "p50 ms", "p99 ms", "CPU s/M", "RSS MB", "backlog")
	w, err := started(ctx, func(ctx context.Context) (*cluster.Set, error) {
		w, err := cluster.Run(ctx, cluster.Options{})
		if err != nil {
			return nil, err
		}
		return &w.Set, nil
	})
	if err != nil {
		return nil, nil, err
	}
	warren, err = all(ctx, out, "Warren", w, workloads)
	if err = errors.Join(err, w.Close()); err != nil {
		return warren, nil, err
	}
	r, err := started(ctx, func(ctx context.Context) (*cluster.Set, error) { return cluster.RunRabbitMQ(ctx, 3) })
	if errors.Is(err, cluster.ErrNotInstalled) {
		fmt.Fprintf(out, "nothing to compare with: %v\n", err)
		return warren, nil, nil
	}
	if err != nil {
		return warren, nil, err
	}
	rabbit, err = all(ctx, out, "RabbitMQ quorum", r, workloads)
	return warren, rabbit, errors.Join(err, r.Close())
}

func started(ctx context.Context, start func(context.Context) (*cluster.Set, error)) (*cluster.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return start(ctx)
}

func all(ctx context.Context, out io.Writer, name string, s *cluster.Set, workloads []Workload) ([]Result, error) {
	var results []Result
	for _, w := range workloads {
		r, err := Measure(ctx, name, s, w)
		if err != nil {
			return results, err
		}
		fmt.Fprintf(out, "%-16s %-26s %9.0f %9.1f %9.1f %9.1f %7d %8d\n", r.Broker, r.Workload, r.PerSec,
			ms(r.P50), ms(r.P99), r.CPU, r.RSS>>20, r.Backlog)
		results = append(results, r)
	}
	return results, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
