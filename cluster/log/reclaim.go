package log

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/warrenmq/warren/cluster/log/internal/watchdog"
)

const (
	// reclaimDelay is how long after a change its segments are judged: what was appended is applied
	// by then. reclaimAgain is when that is done once more if nothing happens.
	reclaimDelay = 500 * time.Millisecond
	reclaimAgain = 10 * time.Second
	reclaimShare = 50              // a part of so many of the time goes to judging,
	reclaimWait  = 2 * time.Second // or more: space must come back as fast as it is used

	// A segment of which less than mostlyDead is needed is rewritten. When all segments together are
	// less than half needed, one of which less than somewhatDead is.
	mostlyDead   = 0.3
	somewhatDead = 0.85

	joinMax      = 64       // segments rewritten as one
	reserveBytes = 64 << 10 // reserved for the next segment that has little in it
)

// reclaimer takes space back from segments that nothing is written to any more: it writes what is
// still needed of one, or of several next to each other, to a new one that stands for them.
type reclaimer struct {
	l     *Log
	pulse *watchdog.Pulse
	pace  pace
	spare File // of rewriteName: room for a small segment, also on a full disk; nil: none
	tight bool // the disk is full: only what needs no room is done
	swept int  // where the next pass goes on to count segments again
}

// stir says that there may be something to reclaim.
func (l *Log) stir() {
	select {
	case l.stirred <- struct{}{}:
	default:
	}
}

// run works until ctx ends. Its error is fatal.
func (r *reclaimer) run(ctx context.Context) error {
	defer func() {
		if r.spare != nil {
			r.spare.Close() // whatever is in it is removed at the next start
		}
	}()
	if err := r.prepare(); err != nil {
		return err
	}
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.l.stirred:
			again = time.After(reclaimAgain)
		case <-again:
			again = nil
		}
		if !sleep(ctx, reclaimDelay) {
			return nil
		}
		select {
		case <-r.l.stirred: // the pass that begins sees it
			again = time.After(reclaimAgain)
		default:
		}
		r.pace = pace{ctx: ctx, rate: r.l.cfg.ReclaimBytes}
		began := time.Now()
		judging, err := r.pass(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		r.l.stats.judging.Store(int64(judging))
		if !sleep(ctx, min(reclaimWait, judging*reclaimShare)-time.Since(began)) {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pace slows down reading and writing.
type pace struct {
	ctx   context.Context
	rate  int64 // bytes a second
	bytes int64
}

func (p *pace) add(bytes int64) {
	if p.bytes += bytes; p.rate > 0 && p.bytes >= 1<<20 {
		sleep(p.ctx, time.Duration(float64(p.bytes)/float64(p.rate)*float64(time.Second)))
		p.bytes = 0
	}
}

// pass judges the segments and rewrites those that are worth it. It returns how long judging took.
func (r *reclaimer) pass(ctx context.Context) (judging time.Duration, err error) {
	began := time.Now()
	candidates := r.judge()
	judging = time.Since(began)
	for ctx.Err() == nil {
		if candidates, err = r.measureAll(ctx, candidates); err != nil {
			return judging, err
		}
		from, to := r.choose(candidates)
		if from == to {
			break
		}
		out, err := r.rewrite(ctx, candidates[from:to])
		switch {
		case errors.Is(err, ErrNoSpace):
			if r.tight {
				return judging, nil
			}
			r.tight = true
			continue
		case errors.Is(err, errFixed), errors.Is(err, ErrCorrupt), errors.Is(err, errGone):
			for i := from; i < to; i++ {
				candidates[i].fixed = true
			}
			continue
		case err != nil:
			return judging, err
		}
		r.tight = false
		candidates = append(append(candidates[:from:from], candidate{segment: out, size: out.size, need: out.size, rewritten: true}), candidates[to:]...)
	}
	return judging, nil
}

// candidate is a segment as it is judged.
type candidate struct {
	*segment
	count
	size, need int64
	rewritten  bool // in this pass
}

// judge looks at all segments but the one that is written to.
func (r *reclaimer) judge() []candidate {
	l := r.l
	l.mu.Lock()
	segments := append([]*segment(nil), l.segments...)
	l.mu.Unlock()
	counts := counts{}
	var views []view
	for _, g := range l.allGroups() {
		v := g.view()
		v.outline(counts)
		views = append(views, v)
	}
	asked := r.ask(segments, counts)
	for i := range views {
		views[i].count(counts, asked)
	}
	candidates := make([]candidate, 0, len(segments))
	for i, s := range segments {
		c := candidate{segment: s}
		if n := counts[s]; n != nil {
			c.count = *n
		}
		s.mu.Lock()
		if asked[s] {
			s.judged.counted, s.judged.last = true, c.count
		} else {
			c.entries, c.ordinals = s.judged.last.entries, s.judged.last.ordinals
		}
		c.fixed = c.fixed || !s.sealed || s.lost || i == len(segments)-1
		c.size, c.need = s.size, s.size
		if s.judged.known {
			c.need = min(s.judged.need, s.size)
		}
		s.mu.Unlock()
		if !c.fixed && c.entries+c.kept == 0 {
			c.need = 0
		}
		candidates = append(candidates, c)
	}
	return candidates
}

// ask returns the segments whose live entries are counted in this pass.
func (r *reclaimer) ask(segments []*segment, counts counts) map[*segment]bool {
	asked, left := map[*segment]bool{}, int64(sweepMax)
	from := r.swept
	for n := range segments {
		i := (from + n) % len(segments)
		j := segments[i].judged // written by this goroutine alone
		switch {
		case !j.counted || j.last.fixed || j.last.kept != counts.of(segments[i]).kept:
			asked[segments[i]] = true
		case left > 0:
			asked[segments[i]] = true
			left -= int64(j.last.entries) + 1
			r.swept = (i + 1) % len(segments)
		}
	}
	return asked
}

// measureAll measures those of which more has gone than when they were measured.
func (r *reclaimer) measureAll(ctx context.Context, candidates []candidate) ([]candidate, error) {
	measured := 0
	for i := range candidates {
		c := &candidates[i]
		if c.fixed || c.rewritten || c.need == 0 || ctx.Err() != nil {
			continue
		}
		if j := c.judged; j.known && !j.live.fewer(c.count) { // judged is written by this goroutine alone
			continue
		}
		if measured++; measured > measuresMax {
			r.l.stir()
			break
		}
		need, err := r.measure(c.segment)
		switch {
		case errors.Is(err, errFixed), errors.Is(err, ErrCorrupt), errors.Is(err, errGone):
			c.fixed = true
			continue
		case err != nil:
			r.l.cfg.Logger.Error("cannot judge a log segment", "segment", c.number, "error", err)
			c.fixed = true
			continue
		}
		c.need = min(need, c.size)
		c.segment.mu.Lock()
		c.segment.judged.known, c.segment.judged.need, c.segment.judged.live = true, c.need, c.count
		c.segment.mu.Unlock()
	}
	for i := range candidates {
		c := &candidates[i]
		if c.need == 0 {
			c.segment.mu.Lock()
			c.segment.judged.known, c.segment.judged.need, c.segment.judged.live = true, 0, c.count
			c.segment.mu.Unlock()
		}
	}
	return candidates, nil
}

// choose returns which candidates to rewrite as one: the one with the largest dead share, the
// oldest of several, with its neighbours if those are mostly dead or small.
func (r *reclaimer) choose(all []candidate) (from, to int) {
	segment := r.l.cfg.SegmentBytes
	least := min(reserveBytes, segment/8) // less is not worth a file
	var need, waste int64
	for _, c := range all {
		need += c.need
		waste += c.size - c.need
	}
	limit := mostlyDead
	if waste > need+segment {
		limit = somewhatDead
	}
	dead := func(c *candidate) bool {
		return !c.fixed && !c.rewritten && c.size-c.need >= least && float64(c.need) <= limit*float64(c.size) && (!r.tight || c.need == 0)
	}
	best := -1
	for i := range all {
		c := &all[i]
		if dead(c) && (best < 0 || float64(c.need)/float64(c.size) < float64(all[best].need)/float64(all[best].size)) {
			best = i
		}
	}
	if best < 0 {
		return 0, 0
	}
	sum := all[best].need
	joins := func(i int) bool {
		if i < 0 || i >= len(all) || all[i].fixed || to-from >= joinMax || sum+all[i].need > segment*3/4 {
			return false
		}
		c := &all[i]
		small := c.generation > 0 && c.size <= 4*(sum+least)
		if r.tight {
			small = c.generation > 0 && c.size <= least/4
		}
		return dead(c) || small
	}
	from, to = best, best+1
	for joins(to) {
		sum += all[to].need
		to++
	}
	for joins(from - 1) {
		from--
		sum += all[from].need
	}
	return from, to
}

// prepare makes the file that the next segment is rewritten to, unless the disk is full.
func (r *reclaimer) prepare() error {
	if r.spare != nil {
		return nil
	}
	f, err := r.l.fs.Create(path.Join(r.l.dir, rewriteName))
	if err == nil {
		if err = f.Allocate(min(reserveBytes, r.l.cfg.SegmentBytes/4)); err == nil {
			r.spare = f
			return nil
		}
		err = errors.Join(err, f.Close())
	}
	if err = spaceError(err); errors.Is(err, ErrNoSpace) {
		return nil
	}
	return fmt.Errorf("make a file to rewrite segments: %w", err)
}
