package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/warrenmq/warren/test/bench"
)

const (
	throughputRatio = 3.0 // Warren's msg/s to RabbitMQ's
	cpuRatio        = 5.0 // RabbitMQ's CPU a message to Warren's
	// cpuAlone judges where there is nothing to compare with: a fifth of what
	// RabbitMQ took at 1 KiB where the peers were measured.
	cpuAlone = 54.0
)

// benchmark measures Warren and RabbitMQ in one run and holds Warren to what
// its design promises over it.
func benchmark(ctx context.Context, r *run) error {
	warren, rabbit, err := bench.Run(ctx, r.out, bench.Standard(true))
	if err != nil {
		return err
	}
	if len(rabbit) == 0 {
		for _, w := range warren {
			if w.CPU > cpuAlone {
				return fmt.Errorf("%s: %.0f CPU seconds a million messages, limit %.0f", w.Workload, w.CPU, cpuAlone)
			}
		}
		return nil
	}
	var errs []error
	for i, w := range warren {
		faster, cheaper := w.PerSec/rabbit[i].PerSec, rabbit[i].CPU/w.CPU
		r.printf("%s: %.1f times RabbitMQ's throughput (at least %.0f), 1/%.1f of its CPU a message (at most 1/%.0f)",
			w.Workload, faster, throughputRatio, cheaper, cpuRatio)
		if faster < throughputRatio || cheaper < cpuRatio {
			errs = append(errs, fmt.Errorf("%s: %.1f times the throughput, 1/%.1f of the CPU", w.Workload, faster, cheaper))
		}
	}
	return errors.Join(errs...)
}
