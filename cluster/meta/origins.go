package meta

import (
	"slices"
	"strings"

	pb "github.com/warrenmq/warren/proto"
)

// origins remembers which commands of which process are applied, so that a
// retried one is not applied again. An origin waits for a bounded number of
// commands; all below its floor are over, applied or given up, and are refused
// for ever. So a record never outgrows the origin's bound.
type origins map[string]*origin

type origin struct {
	epoch uint64
	floor uint64
	done  map[uint64]struct{} // applied, >= floor
}

// enter makes the origin's record current for a batch and reports whether the
// batch may be applied: a batch of an earlier process may not.
func (o origins) enter(b *pb.MetaBatch) (*origin, bool) {
	rec := o[b.GetOrigin()]
	switch {
	case rec == nil || rec.epoch < b.GetEpoch():
		rec = &origin{epoch: b.GetEpoch(), done: make(map[uint64]struct{})}
		o[b.GetOrigin()] = rec
	case rec.epoch > b.GetEpoch():
		return nil, false
	}
	if b.GetFloor() > rec.floor {
		rec.floor = b.GetFloor()
		for number := range rec.done {
			if number < rec.floor {
				delete(rec.done, number)
			}
		}
	}
	return rec, true
}

// first reports whether the command is neither over nor applied, and marks it
// applied.
func (o *origin) first(number uint64) bool {
	if _, done := o.done[number]; done || number < o.floor {
		return false
	}
	o.done[number] = struct{}{}
	return true
}

func (o origins) applied(id string, epoch, number uint64) bool {
	rec := o[id]
	if rec == nil || rec.epoch != epoch {
		return false
	}
	_, done := rec.done[number]
	return done
}

func (o origins) toProto() []*pb.MetaOrigin {
	list := make([]*pb.MetaOrigin, 0, len(o))
	for id, rec := range o {
		done := make([]uint64, 0, len(rec.done))
		for number := range rec.done {
			done = append(done, number)
		}
		slices.Sort(done)
		list = append(list, &pb.MetaOrigin{Id: id, Epoch: rec.epoch, Floor: rec.floor, Done: done})
	}
	slices.SortFunc(list, func(a, b *pb.MetaOrigin) int { return strings.Compare(a.GetId(), b.GetId()) })
	return list
}

func originsFromProto(list []*pb.MetaOrigin) origins {
	o := make(origins, len(list))
	for _, p := range list {
		rec := &origin{epoch: p.GetEpoch(), floor: p.GetFloor(), done: make(map[uint64]struct{}, len(p.GetDone()))}
		for _, number := range p.GetDone() {
			rec.done[number] = struct{}{}
		}
		o[p.GetId()] = rec
	}
	return o
}
