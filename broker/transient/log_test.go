package transient

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/warrenmq/warren/broker/queue"
)

const q1, q2 queue.ID = 1, 2

// writer publishes to a log and settles in it.
type writer struct {
	t   *testing.T
	log *Log
	seq uint64
}

func newWriter(t *testing.T) *writer {
	w := &writer{t: t, log: NewLog(1<<30, func([]queue.ID) {})}
	w.control(queue.Configure{Queue: q1}, queue.Configure{Queue: q2})
	return w
}

func (w *writer) propose(batch []byte) []queue.Answer {
	w.t.Helper()
	var answers []queue.Answer
	w.log.Propose(batch, func(list []queue.Answer, err error) {
		if err != nil {
			w.t.Fatalf("Propose: %v", err)
		}
		answers = list
	})
	if answers == nil {
		w.t.Fatal("Propose returned before done was called")
	}
	return answers
}

func (w *writer) control(cs ...queue.Command) []queue.Answer {
	w.t.Helper()
	return w.propose(queue.EncodeCommands(cs...))
}

func (w *writer) publish(to []queue.ID, bodies ...[]byte) {
	w.t.Helper()
	var b queue.Builder
	for _, body := range bodies {
		b.Add(to, &queue.Message{RoutingKey: "k", Body: body, TTL: queue.NoTTL})
	}
	w.seq++
	w.propose(b.Seal(queue.Session{Incarnation: 1, Epoch: 1}, w.seq))
}

func (w *writer) ack(q queue.ID, first, last uint64) {
	w.t.Helper()
	w.control(queue.Settle{Queue: q, Kind: queue.Ack, Ranges: []queue.Range{{First: first, Last: last}}})
}

func (w *writer) body(q queue.ID, seq uint64) []byte {
	w.t.Helper()
	var it queue.Item
	var ok bool
	w.log.Locked(func(s *queue.State) { it, ok = s.Queue(q).Lookup(seq) })
	if !ok {
		w.t.Fatalf("queue %d has no message %d", q, seq)
	}
	m, err := w.log.Message(it.Ref)
	if err != nil {
		w.t.Fatalf("Message(%v): %v", it.Ref, err)
	}
	return m.Body
}

func (w *writer) kept() (bytes uint64, batches, single int) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	for _, b := range w.log.batches {
		bytes += uint64(len(b))
	}
	for _, m := range w.log.single {
		bytes += uint64(len(m.Body))
	}
	return bytes, len(w.log.batches), len(w.log.single)
}

// One message that nobody acknowledges must not keep what was published
// around it and after it.
func TestAStuckMessageKeepsNothingElse(t *testing.T) {
	w := newWriter(t)
	body := bytes.Repeat([]byte("x"), 8<<10)
	w.publish([]queue.ID{q1}, []byte("stuck"), body, body)
	w.ack(q1, 2, 3)
	next := uint64(4)
	for range 2_000 { // 32 MiB
		w.publish([]queue.ID{q1}, body, body)
		w.ack(q1, next, next+1)
		next += 2
	}
	if kept, _, _ := w.kept(); kept > 3*sweepBytes {
		t.Fatalf("%d bytes kept for one live message of 5", kept)
	}
	if got := w.body(q1, 1); string(got) != "stuck" {
		t.Fatalf("body of the stuck message: %q", got)
	}
}

// A backlog that was consumed, purged or deleted gives its memory back though
// nothing more is published.
func TestABacklogThatIsGoneKeepsNothing(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 8<<10)
	const n = 4_000 // 32 MiB
	for name, end := range map[string]func(*writer){
		"consumed": func(w *writer) {
			for seq := uint64(1); seq <= n; seq++ {
				w.ack(q1, seq, seq)
			}
		},
		"purged":  func(w *writer) { w.control(queue.Purge{Queue: q1, Through: n}) },
		"deleted": func(w *writer) { w.control(queue.Forget{Queue: q1}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriter(t)
			for range n {
				w.publish([]queue.ID{q1}, body)
			}
			w.publish([]queue.ID{q2}, []byte("stays"))
			end(w)
			if kept, _, _ := w.kept(); kept > sweepBytes {
				t.Fatalf("%d bytes kept for one live message of 5", kept)
			}
			if got := w.body(q2, 1); string(got) != "stays" {
				t.Fatalf("body of the live message: %q", got)
			}
		})
	}
}

// What is swept is what is settled, in every queue that a message went to.
func TestSweepKeepsEveryLiveMessage(t *testing.T) {
	w := newWriter(t)
	for i := range 3_000 {
		pad := bytes.Repeat([]byte{'.'}, 4<<10)
		w.publish([]queue.ID{q1, q2}, fmt.Appendf(pad, "%d", i))
		seq := uint64(i + 1)
		if i%7 != 0 {
			w.ack(q1, seq, seq)
		}
		if i%11 != 0 {
			w.ack(q2, seq, seq)
		}
	}
	for i := range 3_000 {
		want := fmt.Sprint(i)
		for q, every := range map[queue.ID]int{q1: 7, q2: 11} {
			if i%every == 0 {
				if got := w.body(q, uint64(i+1)); string(bytes.TrimLeft(got, ".")) != want {
					t.Fatalf("queue %d, message %d: %q", q, i+1, got[len(got)-8:])
				}
			}
		}
	}
}

// What no settlement told of makes room too: messages that were refused, and
// those that died of their returns.
func TestWhatDiedUnsettledMakesRoom(t *testing.T) {
	for name, c := range map[string]struct {
		settings queue.Settings
		end      queue.Command
	}{
		"refused":            {queue.Settings{Name: "q", MaxLength: queue.Limit{Set: true, N: 1}, Overflow: queue.RejectPublish}, queue.Mark{Queue: q1}},
		"returned too often": {queue.Settings{Name: "q", DeliveryLimit: queue.Limit{Set: true}}, queue.Requeue{Queue: q1, Ranges: []queue.Range{{First: 1, Last: 100}}}},
	} {
		t.Run(name, func(t *testing.T) {
			log := NewLog(1<<20, func([]queue.ID) {})
			w := &writer{t: t, log: log}
			w.control(queue.Configure{Queue: q1, Settings: c.settings})
			for range 16 { // 1 MiB
				w.publish([]queue.ID{q1}, bytes.Repeat([]byte("x"), 64<<10))
			}
			w.control(c.end)
			w.publish([]queue.ID{q1}, []byte("last"))
		})
	}
}

// Dead letters keep their messages, and with them their room, until they are safe
// elsewhere. Their own publishes do not wait for that.
func TestDeadLettersKeepTheirRoomAndFindSome(t *testing.T) {
	log := NewLog(1<<20, func([]queue.ID) {})
	w := &writer{t: t, log: log}
	w.control(queue.Configure{Queue: q1, Settings: queue.Settings{Name: "q", DeadLetters: true}}, queue.Configure{Queue: q2})
	body := bytes.Repeat([]byte("x"), 64<<10)
	const n = 16 // 1 MiB
	answered := 0
	seqs := map[bool]uint64{}
	publish := func(to queue.ID, text string, moves bool) {
		var b queue.Builder
		b.Add([]queue.ID{to}, &queue.Message{Body: fmt.Append(body, text), TTL: queue.NoTTL, Moves: moves})
		seqs[moves]++
		session := queue.Session{Incarnation: 1, Epoch: 1}
		if moves {
			session.Incarnation = 2
		}
		log.Propose(b.Seal(session, seqs[moves]), func([]queue.Answer, error) { answered++ })
	}
	for i := range n {
		publish(q1, fmt.Sprint(i), false)
	}
	publish(q2, "first", false)
	if answered != n {
		t.Fatalf("%d batches answered at the limit, want %d", answered, n)
	}
	w.control(queue.Settle{Queue: q1, Kind: queue.Expire, Ranges: []queue.Range{{First: 1, Last: n}}, Bytes: queue.UnknownBytes})
	if answered != n {
		t.Fatal("dead letters that are still to be passed on leave room")
	}
	var letters []queue.DeadLetter
	log.Locked(func(s *queue.State) { letters = s.Queue(q1).DeadLetters(0, 100) })
	if len(letters) != n {
		t.Fatalf("%d dead letters, want %d", len(letters), n)
	}
	for i, letter := range letters {
		m, err := log.Message(letter.Ref)
		if err != nil || string(m.Body[len(body):]) != fmt.Sprint(i) {
			t.Fatalf("dead letter %d: %q, %v", i, m.Body[max(len(m.Body)-8, 0):], err)
		}
	}
	publish(q2, "moved", true)
	if answered != n+1 {
		t.Fatal("a dead letter waits for the room that it would leave")
	}
	w.control(queue.DeadLettered{Queue: q1, Ranges: []queue.Range{{First: 1, Last: n}}})
	if answered != n+2 {
		t.Fatal("what waited still waits when the dead letters have gone")
	}
	w.log.mu.Lock()
	w.log.sweep()
	w.log.mu.Unlock()
	if kept, _, _ := w.kept(); kept > 200<<10 {
		t.Fatalf("%d bytes kept for two messages", kept)
	}
}

// A live message among dead letters keeps what it needs, and they what they need.
func TestSweepKeepsDeadLettersAmongTheLiving(t *testing.T) {
	w := newWriter(t)
	w.control(queue.Configure{Queue: q1, Settings: queue.Settings{Name: "q", DeadLetters: true}})
	pad := bytes.Repeat([]byte("."), 4<<10)
	for i := range 1_000 {
		w.publish([]queue.ID{q1}, fmt.Appendf(pad, "%da", i), fmt.Appendf(pad, "%db", i), pad)
		seq := uint64(3*i + 1)
		w.control(queue.Settle{Queue: q1, Kind: queue.Reject, Ranges: []queue.Range{{First: seq + 1, Last: seq + 1}}, Bytes: queue.UnknownBytes})
		w.ack(q1, seq+2, seq+2)
		if i%3 > 0 {
			w.ack(q1, seq, seq)
		}
	}
	w.log.mu.Lock()
	w.log.sweep()
	w.log.mu.Unlock()
	for i := range 1_000 {
		if i%3 == 0 {
			if got := string(bytes.TrimLeft(w.body(q1, uint64(3*i+1)), ".")); got != fmt.Sprintf("%da", i) {
				t.Fatalf("message %d: %q", i, got)
			}
		}
	}
	after := uint64(0)
	for i := range 1_000 {
		var page []queue.DeadLetter
		w.log.Locked(func(s *queue.State) { page = s.Queue(q1).DeadLetters(after, 1) })
		m, err := w.log.Message(page[0].Ref)
		if got := string(bytes.TrimLeft(m.Body, ".")); err != nil || got != fmt.Sprintf("%db", i) {
			t.Fatalf("dead letter %d: %q, %v", i, got, err)
		}
		after = page[0].Number
	}
	if kept, batches, single := w.kept(); kept > 8<<20 {
		t.Fatalf("%d bytes in %d batches and %d messages kept for 5.5 MB", kept, batches, single)
	}
}

func TestAMalformedBatchIsRefused(t *testing.T) {
	w := newWriter(t)
	for _, batch := range [][]byte{nil, {1}, {9, 9, 9}} {
		called := false
		w.log.Propose(batch, func(_ []queue.Answer, err error) {
			called = true
			if err == nil {
				t.Errorf("Propose(% x): no error", batch)
			}
		})
		if !called {
			t.Errorf("Propose(% x): done was not called", batch)
		}
	}
}

// At the limit publishes wait, in order, until settlements have made room;
// nothing is lost and nothing else waits.
func TestPublishesWaitForRoom(t *testing.T) {
	log := NewLog(1<<20, func([]queue.ID) {})
	w := &writer{t: t, log: log}
	w.control(queue.Configure{Queue: q1})
	body := bytes.Repeat([]byte("x"), 64<<10)
	const batches = 64 // 4 MiB
	answered := 0
	for i := range uint64(batches) {
		var b queue.Builder
		b.Add([]queue.ID{q1}, &queue.Message{Body: body, TTL: queue.NoTTL})
		log.Propose(b.Seal(queue.Session{Incarnation: 1, Epoch: 1}, i+1), func(a []queue.Answer, err error) {
			if err != nil || a[0].Status != queue.Applied || a[0].Seq != uint64(answered+1) {
				t.Errorf("batch %d: %+v, %v", answered+1, a, err)
			}
			answered++
		})
	}
	if kept, _, _ := w.kept(); kept > 2<<20 || answered == batches {
		t.Fatalf("%d bytes kept, %d of %d batches answered, limit 1 MiB", kept, answered, batches)
	}
	for seq := uint64(1); seq <= batches; seq++ {
		w.ack(q1, seq, seq)
	}
	if answered != batches {
		t.Fatalf("%d of %d batches answered after all room was made", answered, batches)
	}
}

// A dead letter's body is there until it is safe where it belongs.
func TestDeadLettersAreKept(t *testing.T) {
	w := newWriter(t)
	w.control(queue.Configure{Queue: q1, Settings: queue.Settings{DeadLetters: true}})
	dead := bytes.Repeat([]byte("d"), 100)
	w.publish([]queue.ID{q1}, dead, bytes.Repeat([]byte("x"), 1000))
	w.control(queue.Settle{Queue: q1, Kind: queue.Reject, Ranges: []queue.Range{{First: 1, Last: 1}}, Bytes: queue.UnknownBytes})
	w.ack(q1, 2, 2)
	w.log.mu.Lock()
	w.log.sweep()
	w.log.mu.Unlock()
	var letters []queue.DeadLetter
	w.log.Locked(func(s *queue.State) { letters = s.Queue(q1).DeadLetters(0, 10) })
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	m, err := w.log.Message(letters[0].Ref)
	if err != nil || !bytes.Equal(m.Body, dead) {
		t.Fatalf("Message = %q, %v", m.Body, err)
	}
	w.control(queue.DeadLettered{Queue: q1, Ranges: []queue.Range{{First: letters[0].Number, Last: letters[0].Number}}})
	w.log.mu.Lock()
	w.log.sweep()
	w.log.mu.Unlock()
	if bytes, batches, single := w.kept(); bytes > 0 || batches > 0 || single > 0 {
		t.Fatalf("%d bytes of %d batches and %d messages are kept of nothing", bytes, batches, single)
	}
}
