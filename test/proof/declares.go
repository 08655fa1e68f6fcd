package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

const (
	redeclared      = 1_000_000
	redeclaredShort = 5_000
	redeclarers     = 64 // channels
	warmUp          = 20 // a part of this many comes before the start is measured
	growth          = 1.05
	growthSlackRSS  = 24 << 20 // bytes: a Go heap's garbage between two collections
	growthSlackDisk = 64 << 20 // bytes: one segment of the log
	growthSlackFile = 8        // open files
)

// churnDefinitions declares and deletes replicated queues without end: nothing is left of
// them. -n gives hundreds of thousands.
func churnDefinitions(ctx context.Context, r *run) error {
	count := redeclared
	switch {
	case r.times > 0:
		count = r.times * 100_000
	case r.short:
		count = redeclaredShort
	}
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		if err := redeclare(ctx, w, "warm", count/warmUp); err != nil {
			return err
		}
		before, err := footprints(w)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := redeclare(ctx, w, "queue", count); err != nil {
			return err
		}
		took := time.Since(begin)
		r.printf("declared and deleted %d queues in %.0f s: %.0f a second", count, took.Seconds(), float64(count)/took.Seconds())
		return unchanged(ctx, r, w, before)
	})
}

// redeclare declares and deletes count queues, through all nodes.
func redeclare(ctx context.Context, w *cluster.Warren, prefix string, count int) error {
	errs := make([]error, redeclarers)
	var all sync.WaitGroup
	for i := range redeclarers {
		all.Go(func() {
			c, err := traffic.DialPatient(ctx, w.Nodes[i%len(w.Nodes)].AMQP, pumpHeartbeat)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Drop()
			ch, err := c.Channel()
			for n := i; n < count && err == nil; n += redeclarers {
				name := fmt.Sprintf("%s.%d", prefix, n)
				if _, err = ch.QueueDeclare(name, true, false, false, false, nil); err == nil {
					_, err = ch.QueueDelete(name, false, false, false)
				}
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// footprint is what a node holds of the machine.
type footprint struct {
	rss, disk int64
	files     int
}

func footprints(w *cluster.Warren) ([]footprint, error) {
	all := make([]footprint, len(w.Nodes))
	for i, n := range w.Nodes {
		u, err := n.Usage()
		if err != nil {
			return nil, err
		}
		all[i].rss = u.RSS
		if all[i].disk, err = n.Disk(); err != nil {
			return nil, err
		}
		if all[i].files, err = n.OpenFiles(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// unchanged waits until every node holds about what it held before: what was
// deleted is reclaimed in the background, and memory goes back by and by.
func unchanged(ctx context.Context, r *run, w *cluster.Warren, before []footprint) error {
	ctx, cancel := context.WithTimeout(ctx, calmWithin)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		now, err := footprints(w)
		if err != nil {
			return err
		}
		grown := ""
		for i, n := range w.Nodes {
			if !before[i].holds(now[i]) {
				grown = n.Name
			}
		}
		if grown != "" {
			select {
			case <-look.C:
				continue
			case <-ctx.Done():
			}
		}
		for i, n := range w.Nodes {
			r.printf("%s: memory %d MB (%d before), disk %d MB (%d before), open files %d (%d before)", n.Name,
				now[i].rss>>20, before[i].rss>>20, now[i].disk>>20, before[i].disk>>20, now[i].files, before[i].files)
		}
		if grown != "" {
			return fmt.Errorf("%s has grown by more than %.0f %%", grown, 100*(growth-1))
		}
		return nil
	}
}

// holds tells whether now is within the bounds of growth.
func (f footprint) holds(now footprint) bool {
	return float64(now.rss) <= growth*float64(f.rss)+growthSlackRSS &&
		float64(now.disk) <= growth*float64(f.disk)+growthSlackDisk &&
		now.files <= f.files+growthSlackFile
}
