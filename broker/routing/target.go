package routing

import (
	"slices"

	"github.com/warrenmq/warren/broker/queue"
)

// target is where a binding leads: to an exchange, or else to a queue.
type target struct {
	exchange *exchange
	queue    queue.ID
}

// targets is where equal bindings lead: each place once, with the number of
// bindings that lead there where it is more than one.
type targets struct {
	queues    []queue.ID // sorted; new queues have the highest ids, so that adding is cheap
	exchanges []*exchange
	more      map[target]int // bindings beyond the first
}

func (t *targets) add(to target) {
	var found bool
	if to.exchange != nil {
		if found = slices.Contains(t.exchanges, to.exchange); !found {
			t.exchanges = append(t.exchanges, to.exchange)
		}
	} else {
		var i int
		if i, found = slices.BinarySearch(t.queues, to.queue); !found {
			t.queues = slices.Insert(t.queues, i, to.queue)
		}
	}
	if found {
		if t.more == nil {
			t.more = make(map[target]int)
		}
		t.more[to]++
	}
}

func (t *targets) remove(to target) {
	if n := t.more[to]; n > 1 {
		t.more[to] = n - 1
		return
	} else if n == 1 {
		delete(t.more, to)
		return
	}
	if to.exchange != nil {
		t.exchanges = without(t.exchanges, to.exchange)
	} else if i, found := slices.BinarySearch(t.queues, to.queue); found {
		t.queues = slices.Delete(t.queues, i, i+1)
	}
}

func (t *targets) empty() bool { return len(t.queues) == 0 && len(t.exchanges) == 0 }
