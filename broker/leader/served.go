package leader

import (
	"maps"
	"slices"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// served is the leader's side of one queue: what is out with whom, what came
// back, who waits. All of it is lost with the leadership, and rebuilt from
// the edges' Resumes.
type served struct {
	id       queue.ID
	settings queue.Settings      // as applied last
	stream   bool                // what is about handing out and settling is not for it
	next     uint64              // numbers < next were applied when the queue was looked at last
	cursor   uint64              // every number <= cursor has been handed out, returned or settled once, or is in back
	out      map[uint64]held     // handed out, not answered
	gone     map[uint64]struct{} // settled, not applied yet: those above cursor, and all where messages have a TTL
	leaving  int                 // settled, and not known to be applied
	ended    uint64              // of those and all before, what does not come back; see away
	settled  uint64              // how many messages of the queue were settled when ended was 0
	back     minHeap[key]        // ready again; all that is ready when the queue has priorities

	outBytes, leavingBytes uint64 // of bodies, as far as known
	outMost, goneMost      int    // how large out and gone were

	subs   []*sub // oldest first
	turn   int    // whose turn it is among subs
	picked int    // whom pick returned
	sole   *sub   // the single active consumer
	had    bool   // has had a consumer

	mark       uint64   // numbers <= mark are reserved in the log: may be delivered
	handed     uint64   // the highest number that this or an earlier leader may have handed out
	seenBefore uint64   // numbers <= seenBefore may have been delivered by an earlier leader
	seen       uint64   // the highest number that was answered
	above      []uint64 // numbers beyond seen that were handed out, in order; some are not out any more
	behind     uint64   // in this dispatch: what comes back below it comes after what a consumer may have seen
	marking    bool     // a Mark is under way
	gets       []pendingGet
	returning  int  // requeues that are not applied yet: what comes next may be among them
	stalled    bool // somebody waits for messages that may not go out yet
	sealing    bool // a delete with if-unused is under way: no new consumers

	look    alarm     // the next look without anything else happening
	ends    lifetimes // of messages
	head    head      // of a stream
	told    told      // what the log knows of what is out
	letters letters   // dead ones, on their way
	used    time.Time // when somebody used the queue last, if it has no consumers
	parting time.Time // deleted, and to be forgotten by then; zero: it is not
}

// held is a message that is out: who has it, its priority, and the bytes of its body.
type held struct {
	s        *sub
	bytes    int // unknownBytes: claimed by an edge, and never read here
	priority uint8
}

const unknownBytes = -1

func newServed(sq *queue.Queue) *served {
	q := &served{
		id: sq.ID(), settings: sq.Settings(), stream: sq.Settings().Stream,
		out: make(map[uint64]held), gone: make(map[uint64]struct{}),
		mark: sq.Mark(), handed: sq.Mark(), seenBefore: sq.Mark(),
		used: time.Now(),
	}
	q.settled = sq.NextSeq() - 1 - sq.Messages()
	q.note(sq)
	q.ends.fresh = q.next // nobody waited for what is there already
	return q
}

// note takes over what dispatching needs of a queue's state. The caller holds the state's lock.
func (q *served) note(sq *queue.Queue) {
	q.next = sq.NextSeq()
	q.mark = max(q.mark, sq.Mark())
	q.ends.timed = sq.Timed()
	q.letters.pending = sq.PendingDeadLetters()
}

// rank puts what is ready in order again, when priorities have come or gone. The
// caller holds the state's lock.
func (q *served) rank(sq *queue.Queue, before queue.Settings) {
	if before.MaxPriority == q.settings.MaxPriority {
		return
	}
	q.gatherAbove()
	back := q.back
	q.back = nil
	for _, k := range back {
		if it, ok := sq.Lookup(k.seq()); ok {
			q.back.push(q.key(it.Seq, it.Priority))
		}
	}
}

// prioritized says whether messages overtake each other: then all that is ready
// is in back.
func (q *served) prioritized() bool { return q.settings.MaxPriority > 0 }

// key is a message's place in back.
func (q *served) key(seq uint64, priority uint8) key {
	return key(uint64(q.settings.MaxPriority-min(priority, q.settings.MaxPriority))<<seqBits | seq)
}

// handOut notes that s holds it.
func (q *served) handOut(s *sub, it queue.Item, bytes int) {
	q.hold(it.Seq, held{s, bytes, it.Priority})
}

func (q *served) hold(seq uint64, h held) {
	q.out[seq] = h
	q.rise(seq)
	q.outBytes += uint64(max(h.bytes, 0))
	h.s.held++
}

// takeBack removes seq from what s holds; false when it does not hold it.
func (q *served) takeBack(s *sub, seq uint64) (h held, ok bool) {
	h = q.out[seq]
	if h.s != s {
		return held{}, false
	}
	q.outMost = max(q.outMost, len(q.out))
	delete(q.out, seq)
	q.out = lean(q.out, &q.outMost)
	q.sink()
	q.outBytes -= uint64(max(h.bytes, 0))
	s.held--
	return h, true
}

// mapKept is how many places a map keeps, whatever is in it.
const mapKept = 4096

// lean is m, or a copy of what is left of it: Go's maps do not shrink, and a queue may
// live for years after a consumer that acknowledged nothing.
func lean[V any](m map[uint64]V, most *int) map[uint64]V {
	if *most <= mapKept || len(m) > *most/8 {
		return m
	}
	*most = len(m)
	left := make(map[uint64]V, len(m)) // a clone would be as large
	maps.Copy(left, m)
	return left
}

// putBack makes a message ready again.
func (q *served) putBack(seq uint64, priority uint8) {
	if seq <= q.cursor {
		q.back.push(q.key(seq, priority))
	}
	// else: the cursor comes to it by itself
}

// isOut tells whether somebody holds seq.
func (q *served) isOut(seq uint64) bool { return q.out[seq].s != nil }

// taken tells whether seq is in nobody's hands any more, or in somebody's.
func (q *served) taken(seq uint64) bool {
	if q.isOut(seq) {
		return true
	}
	_, gone := q.gone[seq]
	return gone
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
		ranges = appendSeq(ranges, seq)
	}
	return ranges
}

// appendSeq adds a number that is not below the last.
func appendSeq(ranges []queue.Range, seq uint64) []queue.Range {
	if n := len(ranges); n > 0 && ranges[n-1].Last+1 == seq {
		ranges[n-1].Last = seq
		return ranges
	}
	return append(ranges, queue.Range{First: seq, Last: seq})
}

// admitted is how many messages of a queue with priorities are looked at while
// the state is locked.
const admitted = 4096

// admit puts what has come since into back; false when there is more. The caller
// holds the state's lock.
func (q *served) admit(sq *queue.Queue) bool {
	for range admitted {
		it, ok := sq.After(q.cursor)
		if !ok {
			return true
		}
		if !q.taken(it.Seq) {
			q.back.push(q.key(it.Seq, it.Priority))
		}
		q.cursor = it.Seq
	}
	return false
}

// item finds the next ready message: the lowest number that came back or was
// never out, of the highest priority. The caller holds the state's lock. It is
// not taken yet: see take.
func (q *served) item(sq *queue.Queue) (queue.Item, bool) {
	for len(q.back) > 0 {
		seq := q.back[0].seq()
		if it, ok := sq.Lookup(seq); ok && !q.taken(seq) {
			return it, true
		}
		q.back.pop() // settled meanwhile: purged, expired, or answered by an earlier holder
	}
	for !q.prioritized() {
		it, ok := sq.After(q.cursor)
		if !ok {
			return it, false
		}
		if !q.taken(it.Seq) {
			return it, true
		}
		q.cursor = it.Seq
	}
	return queue.Item{}, false
}

// take moves past the message that item returned.
func (q *served) take(it queue.Item) {
	if len(q.back) == 0 || q.back[0].seq() != it.Seq {
		q.cursor = it.Seq
		return
	}
	for len(q.back) > 0 && q.back[0].seq() == it.Seq { // twice when a requeue was told twice, over a stream that broke
		q.back.pop()
	}
}

// ready counts the messages that wait for a consumer. The caller holds the state's lock.
func (q *served) ready(sq *queue.Queue) uint64 { return less(sq.Messages(), q.away(sq)) }

// away is how many of the messages in the state are with a consumer or on their way
// out. What is on its way may be applied before this goroutine hears of it, so the
// state's own count of what was settled decides. The caller holds the state's lock.
func (q *served) away(sq *queue.Queue) uint64 {
	settled := sq.NextSeq() - 1 - sq.Messages()
	if q.leaving == 0 {
		q.ended, q.settled = 0, settled
	}
	return uint64(len(q.out)+q.returning) + less(q.ended, less(settled, q.settled))
}

// readyBytes is the size of their bodies, as far as known.
func (q *served) readyBytes(sq *queue.Queue) uint64 {
	return less(sq.Bytes(), q.outBytes+q.leavingBytes)
}

func less(n, by uint64) uint64 { return n - min(n, by) }
