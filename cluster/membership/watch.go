package membership

import (
	"context"
	"maps"
	"slices"
)

// EventKind is what happened to a member.
type EventKind uint8

const (
	Joined  EventKind = iota + 1 // it is alive: new, or back
	Updated                      // it is alive and announces something else
	Left                         // it said farewell and is gone
	Dead                         // it is gone, or cannot be reached
)

// String returns the kind's name for logs.
func (k EventKind) String() string {
	switch k {
	case Joined:
		return "joined"
	case Updated:
		return "updated"
	case Left:
		return "left"
	case Dead:
		return "dead"
	}
	return "unknown"
}

// Event is a change of one other member, as known after it. A process that was
// replaced by a later one of the same node is Dead before that one is Joined.
type Event struct {
	Kind   EventKind
	Member Member
}

// watcher gets the differences between what it has seen and what there is, so one
// that is slow misses steps in between but never the outcome, and nothing queues up.
type watcher struct {
	hear func(Event)
	seen map[string]Member // alive ones; owned by the dispatching goroutine
}

// Watch calls hear for every other member that is alive, and for every change from
// then on, one call at a time and only while Run runs. hear may call Membership. After
// stop returned, at most a call that is under way is finished.
func (m *Membership) Watch(hear func(Event)) (stop func()) {
	w := &watcher{hear: hear, seen: make(map[string]Member)}
	m.mu.Lock()
	m.watchers = append(m.watchers, w)
	m.mu.Unlock()
	m.table.notify()
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(slices.Clone(m.watchers), func(o *watcher) bool { return o == w })
	}
}

// dispatch tells the watchers until ctx ends.
func (m *Membership) dispatch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.table.changed:
		}
		now := m.table.others()
		for _, w := range m.watching() {
			w.tell(now)
		}
	}
}

func (m *Membership) watching() []*watcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.watchers[:len(m.watchers):len(m.watchers)]
}

// tell calls hear with what changed, by ServerID.
func (w *watcher) tell(now map[string]entry) {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(now)), maps.Keys(w.seen))
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		before, was := w.seen[id]
		e, known := now[id]
		is := known && e.member.Alive
		if was && (!is || e.member.Epoch != before.Epoch) {
			delete(w.seen, id)
			before.Alive = false
			kind := Dead
			if known && e.left && e.member.Epoch == before.Epoch {
				kind = Left
			}
			w.hear(Event{kind, before})
			was = false
		}
		if !is || (was && e.member == before) {
			continue
		}
		w.seen[id] = e.member
		kind := Joined
		if was {
			kind = Updated
		}
		w.hear(Event{kind, e.member})
	}
}
