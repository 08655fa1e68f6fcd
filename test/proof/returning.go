package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

const (
	returningBody    = 4 << 10
	returningBacklog = 20_000 // messages that stay: their bodies must travel
	returningChunk   = 25_000 // messages of 4 KiB that go through meanwhile, at a time
	returningChunks  = 6
	returningSlack   = int64(256) << 20
)

// returning kills a node for longer than its peers keep their logs for it: it comes
// back by a snapshot, with the bodies of all that is left, and serves that after the
// deaths of the others. The disks stay within what is live and a bound.
func returning(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		stays := &pump{queue: "stays", size: returningBody, window: 500}
		flows := &pump{queue: "flows", size: returningBody, window: 500}
		for _, p := range []*pump{stays, flows} {
			if err := declare(ctx, w.Nodes[0], p.queue); err != nil {
				return err
			}
		}
		before, err := eachNode(w, (*cluster.Node).Disk)
		if err != nil {
			return err
		}
		away := w.Nodes[2]
		if err := away.Kill(); err != nil {
			return err
		}
		if err := stays.fill(ctx, w.Nodes[0], returningBacklog); err != nil {
			return err
		}
		for range returningChunks {
			if err := through(ctx, w.Nodes[0], w.Nodes[1], flows, returningChunk); err != nil {
				return err
			}
		}
		begin := time.Now()
		if err := away.Start(); err != nil {
			return err
		}
		if err := away.AwaitReady(ctx); err != nil {
			return err
		}
		if err := w.Await(ctx, behind); err != nil {
			return err
		}
		r.printf("%d MB went by while %s was away; it had caught up %.1f s after its start", returningChunks*returningChunk*returningBody>>20, away.Name, time.Since(begin).Seconds())
		sent := 0
		for _, n := range w.Nodes[:2] {
			sent += strings.Count(n.Log.Tail(1_000_000), "snapshot sent")
		}
		r.printf("%d snapshots were sent", sent)
		if sent == 0 {
			err = errors.New("no snapshot was needed")
		}
		live := int64(returningBacklog * (returningBody + 512))
		after, diskErr := eachNode(w, (*cluster.Node).Disk)
		if diskErr != nil {
			return diskErr
		}
		for i, n := range w.Nodes {
			grown := after[i] - before[i]
			r.printf("%s: %d MB more on disk, of which %d MB are live", n.Name, grown>>20, live>>20)
			if grown > 2*live+returningSlack {
				err = errors.Join(err, fmt.Errorf("%s has %d MB more on disk", n.Name, grown>>20))
			}
		}
		if err != nil {
			return err
		}
		// The others' copies do not help any more: one of them is gone, and the other must
		// find a majority in the one that returned, which is to lead.
		if err := w.Nodes[0].Kill(); err != nil {
			return err
		}
		stays.deaths++
		if err := stays.drain(ctx, away, returningBacklog); err != nil {
			return fmt.Errorf("drain through %s: %w", away.Name, err)
		}
		r.printf("%d messages came in order through %s after the death of %s", returningBacklog, away.Name, w.Nodes[0].Name)
		return nil
	})
}

// through publishes count messages through one node and takes them through another.
func through(ctx context.Context, from, to *cluster.Node, p *pump, count int) error {
	filled := make(chan error, 1)
	go func() { filled <- p.fill(ctx, from, count) }()
	err := p.drain(ctx, to, count)
	return errors.Join(err, <-filled)
}

// behind says which replica has applied less than another.
func behind(all []cluster.Status) string {
	most := make(map[uint64]uint64)
	for _, s := range all {
		for _, g := range s.Groups {
			most[g.ID] = max(most[g.ID], g.Applied)
		}
	}
	for _, s := range all {
		for _, g := range s.Groups {
			if g.Applied < most[g.ID] {
				return fmt.Sprintf("%s has applied %d of %d in group %d", s.Name, g.Applied, most[g.ID], g.ID)
			}
		}
	}
	return ""
}
