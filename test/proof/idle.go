package main

import (
	"context"
	"fmt"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

const (
	idleCPULimit = 3.0      // per cent of a core, each node
	idleRSSLimit = 60 << 20 // bytes, each node
)

// idle measures a fresh cluster that nobody uses.
func idle(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		return measureIdle(ctx, r, w, idleCPULimit, idleRSSLimit)
	})
}

// measureIdle measures each node for a while: per cent of a core, and bytes.
func measureIdle(ctx context.Context, r *run, w *cluster.Warren, cpuLimit float64, rssLimit int64) error {
	span := 20 * time.Second
	if r.short {
		span = 10 * time.Second
	}
	before := make([]cluster.Usage, len(w.Nodes))
	for i, n := range w.Nodes {
		var err error
		if before[i], err = n.Usage(); err != nil {
			return err
		}
	}
	select {
	case <-time.After(span): // what is measured, not a wait for something
	case <-ctx.Done():
		return ctx.Err()
	}
	for i, n := range w.Nodes {
		u, err := n.Usage()
		if err != nil {
			return err
		}
		cpu := 100 * (u.CPU - before[i].CPU).Seconds() / span.Seconds()
		r.printf("%s: %.1f %% of a core, %d MB (limits %.0f %%, %d MB)", n.Name, cpu, u.RSS>>20, cpuLimit, rssLimit>>20)
		if cpu >= cpuLimit || u.RSS >= rssLimit {
			return fmt.Errorf("%s is not idle: %.1f %% of a core, %d MB", n.Name, cpu, u.RSS>>20)
		}
	}
	return nil
}
