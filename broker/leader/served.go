package leader

import (
	"container/heap"
	"maps"
	"slices"

	"github.com/warrenmq/warren/broker/queue"
)

// served is the leader's side of one queue: what is out with whom, what came
// back, who waits. All of it is lost with the leadership, and rebuilt from
// the edges' Resumes.
type served struct {
	id      queue.ID
	cursor  uint64              // every number <= cursor has been handed out, returned or settled once
	out     map[uint64]held     // handed out, not answered
	gone    map[uint64]struct{} // answered, the answer not applied yet, number > cursor: only after a takeover
	leaving int                 // answered with Ack or Reject, not applied yet
	back    seqHeap             // ready again
	subs    []*sub              // by priority, highest first; equal ones in turn
	next    int                 // whose turn it is among subs
	turn    int                 // whom pick returned
	had     bool                // has had a consumer

	mark       uint64 // numbers <= mark are reserved in the log: may be delivered
	seenBefore uint64 // numbers <= seenBefore may have been delivered by an earlier leader
	seen       uint64 // the highest number that was answered
	behind     uint64 // in this dispatch: what comes back below it comes after what a consumer may have seen
	marking    bool   // a Mark is under way
	gets       []pendingGet
	retry      bool // a later look is on its way
	returning  int  // requeues that are not applied yet: what comes next may be among them
	sealing    bool // a delete with if-unused is under way: no new consumers
}

// held is a message that is out: who has it, and the bytes of its body as far as known.
type held struct {
	s     *sub
	bytes int
}

// sub is a subscription: a consumer of a queue, or the holder of what basic.get took.
type sub struct {
	id       uint64
	at       *attachment
	q        *served
	consumer Consumer
	messages int // message credit; meaningless when unlimited
	bytes    int64
	active   bool // delivers; false: only holds
	fresh    bool // subscribed during the takeover: an exclusive one may turn up
	held     int  // of q.out
}

func newServed(id queue.ID, mark uint64) *served {
	return &served{id: id, out: make(map[uint64]held), gone: make(map[uint64]struct{}), mark: mark, seenBefore: mark}
}

// hasCredit is false while the edge is away: what it would get it would not see,
// and a message for a no_ack consumer would be lost.
func (s *sub) hasCredit() bool {
	return s.active && s.at.attached && s.bytes > 0 && (s.messages > 0 || s.consumer.Messages < 0)
}

// pick returns the consumer whose turn it is: of the highest priority that
// has credit, round robin among equals. Nil when nobody has credit.
func (q *served) pick() *sub {
	n := len(q.subs)
	var best *sub
	at := 0
	for i := range n {
		j := (q.next + i) % n
		s := q.subs[j]
		if s.hasCredit() && (best == nil || s.consumer.Priority > best.consumer.Priority) {
			best, at = s, j
		}
	}
	q.turn = at
	return best
}

// picked gives the turn to the next: the one that pick returned has got a message.
func (q *served) picked() { q.next = (q.turn + 1) % len(q.subs) }

func (q *served) consumers() int {
	n := 0
	for _, s := range q.subs {
		if s.active {
			n++
		}
	}
	return n
}

func (q *served) exclusive() bool {
	return slices.ContainsFunc(q.subs, func(s *sub) bool { return s.active && s.consumer.Exclusive })
}

// rivals are the consumers beside which s may not stand, other than old, whose place it takes.
func (q *served) rivals(s, old *sub) (list []*sub) {
	for _, o := range q.subs {
		if s.active && o.active && o != old && (o.consumer.Exclusive || s.consumer.Exclusive) {
			list = append(list, o)
		}
	}
	return list
}

// add puts s among the consumers.
func (q *served) add(s *sub) {
	q.subs = append(q.subs, s)
	q.had = q.had || s.active
}

// drop takes s off the queue, with what it waits for.
func (q *served) drop(s *sub) {
	q.gets = slices.DeleteFunc(q.gets, func(g pendingGet) bool { return g.s == s })
	q.subs = slices.DeleteFunc(q.subs, func(o *sub) bool { return o == s })
	if q.next >= len(q.subs) {
		q.next = 0
	}
}

// handOut notes that s holds seq.
func (q *served) handOut(s *sub, seq uint64, bytes int) {
	q.out[seq] = held{s, bytes}
	s.held++
}

// highestSeen is the highest number that a consumer may have seen; it is looked
// for only while something waits that came back.
func (q *served) highestSeen() uint64 {
	if len(q.back) == 0 {
		return 0
	}
	highest := q.seen
	for seq := range q.out {
		highest = max(highest, seq)
	}
	return highest
}

// isOut tells whether somebody holds seq.
func (q *served) isOut(seq uint64) bool { return q.out[seq].s != nil }

// takeBack removes seq from what s holds; false when it does not hold it.
func (q *served) takeBack(s *sub, seq uint64) (bytes int, ok bool) {
	h := q.out[seq]
	if h.s != s {
		return 0, false
	}
	delete(q.out, seq)
	s.held--
	return h.bytes, true
}

// heldBy lists what s holds, in order.
func (q *served) heldBy(s *sub) []uint64 {
	if s.held == 0 {
		return nil
	}
	seqs := make([]uint64, 0, s.held)
	for seq, h := range q.out {
		if h.s == s {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

// heldRanges lists all that is out, in order.
func (q *served) heldRanges() []queue.Range {
	ranges := make([]queue.Range, 0, len(q.out))
	for _, seq := range slices.Sorted(maps.Keys(q.out)) {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == seq {
			ranges[n-1].Last = seq
			continue
		}
		ranges = append(ranges, queue.Range{First: seq, Last: seq})
	}
	return ranges
}

// putBack makes seq ready again.
func (q *served) putBack(seq uint64) {
	if seq <= q.cursor {
		heap.Push(&q.back, seq)
	}
	// else: the cursor comes to it by itself
}

// item finds the next ready message: the lowest number that came back or was
// never out. The caller holds the state's lock. It is not taken yet: see taken.
func (q *served) item(sq *queue.Queue) (queue.Item, bool) {
	for len(q.back) > 0 {
		if it, ok := sq.Lookup(q.back[0]); ok && !q.isOut(it.Seq) {
			return it, true
		}
		heap.Pop(&q.back) // settled meanwhile: purged, or answered by an earlier holder
	}
	for {
		it, ok := sq.After(q.cursor)
		if !ok {
			return it, false
		}
		if _, answered := q.gone[it.Seq]; !answered && !q.isOut(it.Seq) {
			return it, true
		}
		delete(q.gone, it.Seq)
		q.cursor = it.Seq
	}
}

// taken moves past the message that item returned.
func (q *served) taken(it queue.Item) {
	if len(q.back) == 0 || q.back[0] != it.Seq {
		q.cursor = it.Seq
		return
	}
	for len(q.back) > 0 && q.back[0] == it.Seq { // twice when a requeue was told twice, over a stream that broke
		heap.Pop(&q.back)
	}
}

// ready counts the messages that wait for a consumer. The caller holds the state's lock.
func (q *served) ready(sq *queue.Queue) uint64 {
	busy := uint64(len(q.out) + q.leaving)
	if n := sq.Messages(); n > busy {
		return n - busy
	}
	return 0
}

// seqHeap is a heap of sequence numbers, lowest first.
type seqHeap []uint64

func (h seqHeap) Len() int           { return len(h) }
func (h seqHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h seqHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *seqHeap) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *seqHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
