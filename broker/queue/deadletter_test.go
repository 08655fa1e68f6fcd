package queue

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// group is a State with an author: entries get their numbers and a clock that goes on.
type group struct {
	t     testing.TB
	state *State
	b     Builder
	index uint64
	seq   uint64
	now   time.Time
	log   map[uint64][]byte
}

func newGroup(t testing.TB) *group {
	return &group{t: t, state: NewState(), now: time.Unix(1_700_000_000, 0), log: map[uint64][]byte{}}
}

func (g *group) entry(batch []byte) []Answer {
	g.t.Helper()
	g.index++
	g.now = g.now.Add(time.Second)
	g.log[g.index] = batch
	answers, _ := g.state.Apply(decoded(g.t, g.index, g.now, batch))
	return answers
}

func (g *group) do(cs ...Command) []Answer {
	g.t.Helper()
	return g.entry(EncodeCommands(cs...))
}

// publish sends messages of these bodies to the queues, in one batch.
func (g *group) publish(to []ID, bodies ...string) Answer {
	g.t.Helper()
	for _, body := range bodies {
		g.b.Add(to, &Message{Body: []byte(body), TTL: NoTTL})
	}
	return g.seal()
}

func (g *group) seal() Answer {
	g.t.Helper()
	g.seq++
	return g.entry(g.b.Seal(Session{1, 1}, g.seq))[0]
}

func (g *group) body(ref Ref) string {
	g.t.Helper()
	m, err := ReadMessage(g.log[ref.Index], ref.Ordinal)
	if err != nil {
		g.t.Fatalf("body of %+v: %v", ref, err)
	}
	return string(m.Body)
}

// live are the bodies of a queue's messages.
func (g *group) live(id ID) (bodies []string) {
	q := g.state.Queue(id)
	for it, ok := q.After(0); ok; it, ok = q.After(it.Seq) {
		bodies = append(bodies, g.body(it.Ref))
	}
	return bodies
}

// dead are the bodies and reasons of a queue's dead letters.
func (g *group) dead(id ID) (letters []string) {
	for _, d := range g.state.Queue(id).DeadLetters(0, 1000) {
		letters = append(letters, fmt.Sprintf("%s %v", g.body(d.Ref), d.Reason))
	}
	return letters
}

func (g *group) expect(what string, got []string, want ...string) {
	g.t.Helper()
	if !slices.Equal(got, want) {
		g.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var (
	q1       = []ID{1}
	withDead = Settings{Name: "q", DeadLetters: true}
)

func TestWhatDiesOfWhat(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings Settings
		kind     SettleKind
		want     []string
	}{
		{"an acknowledged message is gone", withDead, Ack, nil},
		{"a rejected message is dead-lettered", withDead, Reject, []string{"b rejected"}},
		{"an expired message is dead-lettered", withDead, Expire, []string{"b expired"}},
		{"a dropped message is dead-lettered", withDead, Drop, []string{"b maxlen"}},
		{"a rejected message is gone without an exchange", Settings{Name: "q"}, Reject, nil},
		{"an expired message is gone without an exchange", Settings{Name: "q"}, Expire, nil},
		{"a delayed message that is due goes on", Settings{Name: "q", Delays: "x"}, Expire, []string{"b expired"}},
		{"a delayed message that is dropped does not", Settings{Name: "q", Delays: "x"}, Drop, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			g.do(Configure{1, c.settings})
			g.publish(q1, "a", "b", "c")
			a := g.do(Settle{1, c.kind, []Range{{2, 2}}, 1})
			if a[0].Count != 1 || g.state.Queue(1).Bytes() != 2 {
				t.Errorf("answer %+v, %d bytes left", a[0], g.state.Queue(1).Bytes())
			}
			g.expect("live", g.live(1), "a", "c")
			g.expect("dead", g.dead(1), c.want...)
		})
	}
}

// A dead letter's body stays until it is safe elsewhere, whatever becomes of its neighbours.
func TestDeadLettersKeepTheirEntries(t *testing.T) {
	g := newGroup(t)
	g.do(Configure{1, withDead})
	for i := range 4 {
		g.publish(q1, fmt.Sprint("a", i), fmt.Sprint("b", i))
	}
	g.do(Settle{1, Reject, []Range{{5, 6}}, 4}, Settle{1, Reject, []Range{{3, 3}}, 2}, Settle{1, Ack, []Range{{1, 8}}, 10})
	g.expect("dead", g.dead(1), "a2 rejected", "b2 rejected", "a1 rejected")
	for _, c := range []struct {
		safe uint64
		want uint64
	}{{1, 3}, {3, 4}, {2, 0}} {
		if a := g.do(DeadLettered{1, []Range{{c.safe, c.safe}}}); a[0].Count != 1 {
			t.Errorf("DeadLettered %d: %+v", c.safe, a[0])
		}
		g.state = restored(t, g.state)
		if index, ok := g.state.OldestLive(); index != c.want || ok != (c.want > 0) {
			t.Errorf("OldestLive behind %d = %d, %v; want %d", c.safe, index, ok, c.want)
		}
	}
	g.publish(q1, "later")
	g.do(Settle{1, Expire, []Range{{9, 9}}, 5})
	if d := g.state.Queue(1).DeadLetters(0, 9); len(d) != 1 || d[0].Number != 4 || d[0].Seq != 9 || !d[0].Died.Equal(g.now) {
		t.Errorf("dead letters %+v: numbers go on from 4", d)
	}
	g.do(Forget{1})
	if _, ok := g.state.OldestLive(); ok {
		t.Error("a forgotten queue keeps its dead letters")
	}
}

func TestTheDeliveryLimit(t *testing.T) {
	limited := func(quorum bool) Settings {
		return Settings{Name: "q", Quorum: quorum, DeadLetters: true, DeliveryLimit: Limit{true, 2}}
	}
	for _, c := range []struct {
		name     string
		settings Settings
		failed   bool
		survives int // returns
	}{
		{"each return counts in a classic queue", limited(false), false, 2},
		{"a failed one does too", limited(false), true, 2},
		{"a failed delivery counts in a quorum queue", limited(true), true, 2},
		{"a mere return does not", limited(true), false, 9},
		{"without a limit nothing dies", Settings{Name: "q"}, true, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			g.do(Configure{1, c.settings})
			g.publish(q1, "a", "b", "c")
			for i := 1; i <= c.survives; i++ {
				if a := g.do(Requeue{1, c.failed, []Range{{1, 2}}}); a[0].Count != 2 {
					t.Fatalf("return %d: %+v", i, a[0])
				}
				it, _ := g.state.Queue(1).Lookup(1)
				if failed := c.failed || !c.settings.Quorum; it.Returned != uint32(i) || failed != (it.Failed == uint32(i)) {
					t.Fatalf("after return %d: %+v", i, it)
				}
			}
			if c.survives > 2 {
				return
			}
			g.do(Requeue{1, c.failed, []Range{{3, 3}}})
			if a := g.do(Requeue{1, c.failed, []Range{{1, 3}}}); a[0].Count != 1 {
				t.Fatalf("the last return: %+v", a[0])
			}
			g.expect("live", g.live(1), "c")
			g.expect("dead", g.dead(1), "a delivery_limit", "b delivery_limit")
			if d := g.state.Queue(1).DeadLetters(0, 1); d[0].Returned != 3 || d[0].Failed != 3 {
				t.Errorf("dead letter %+v, want 3 returns", d[0])
			}
			if n := g.state.Queue(1).Bytes(); n != 1 {
				t.Errorf("%d bytes left", n)
			}
		})
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings Settings
		held     Held
		refused  []uint32
		live     []string
		dead     []string
	}{
		{"by messages", Settings{Overflow: RejectPublish, MaxLength: Limit{true, 2}}, Held{}, []uint32{2, 3}, []string{"aa", "bbbb"}, nil},
		{"to the dead letters", Settings{Overflow: RejectPublishDLX, DeadLetters: true, MaxLength: Limit{true, 2}}, Held{}, []uint32{2, 3}, []string{"aa", "bbbb"}, []string{"c maxlen", "d maxlen"}},
		{"without an exchange for them", Settings{Overflow: RejectPublishDLX, MaxLength: Limit{true, 2}}, Held{}, []uint32{2, 3}, []string{"aa", "bbbb"}, nil},
		{"by bytes, where a smaller one still fits", Settings{Overflow: RejectPublish, MaxLengthBytes: Limit{true, 3}}, Held{}, []uint32{1, 3}, []string{"aa", "c"}, nil},
		{"everything when nothing may be in it", Settings{Overflow: RejectPublish, MaxLength: Limit{true, 0}}, Held{}, []uint32{0, 1, 2, 3}, nil, nil},
		{"not when its head is dropped", Settings{MaxLength: Limit{true, 1}}, Held{}, nil, []string{"aa", "bbbb", "c", "d"}, nil},
		{"not for what consumers hold", Settings{Overflow: RejectPublish, MaxLength: Limit{true, 2}}, Held{Messages: 1}, []uint32{3}, []string{"aa", "bbbb", "c"}, nil},
		{"nor for its bytes", Settings{Overflow: RejectPublish, MaxLengthBytes: Limit{true, 3}}, Held{Bytes: 1}, []uint32{1}, []string{"aa", "c", "d"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			c.held.Queue, c.settings.Name = 1, "q"
			g.do(Configure{1, c.settings}, Configure{2, Settings{Name: "other"}}, c.held)
			a := g.publish([]ID{1, 2}, "aa", "bbbb", "c", "d")
			if a.Status != Applied || !slices.Equal(a.Refused, c.refused) {
				t.Errorf("%+v, want %v refused", a, c.refused)
			}
			g.state = restored(t, g.state)
			g.expect("live", g.live(1), c.live...)
			g.expect("dead", g.dead(1), c.dead...)
			g.expect("the other queue", g.live(2), "aa", "bbbb", "c", "d")
			bytes := 0
			for _, body := range c.live {
				bytes += len(body)
			}
			if got := g.state.Queue(1).Bytes(); got != uint64(bytes) {
				t.Errorf("%d bytes, want %d", got, bytes)
			}
			for _, d := range g.state.Queue(1).DeadLetters(0, 9) {
				if d.Seq != 0 || !d.Died.Equal(g.now) {
					t.Errorf("dead letter %+v: the queue never had it", d)
				}
			}
		})
	}
}

// What waits for a full target counts as what is ready does, in a queue that refuses.
func TestWaitingDeadLettersCount(t *testing.T) {
	for name, s := range map[string]Settings{
		"by messages": {Overflow: RejectPublish, DeadLetters: true, MaxLength: Limit{true, 3}},
		"by bytes":    {Overflow: RejectPublish, DeadLetters: true, MaxLengthBytes: Limit{true, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t)
			g.do(Configure{1, s})
			g.publish(q1, "aa", "bb", "cc")
			g.do(Settle{1, Reject, []Range{{1, 2}}, 4})
			g.now = g.now.Add(-time.Second) // they have only just died
			if a := g.publish(q1, "dd"); len(a.Refused) > 0 {
				t.Errorf("a letter on its way leaves no room: %+v", a)
			}
			g.state = restored(t, g.state)
			if a := g.publish(q1, "ee"); !slices.Equal(a.Refused, []uint32{0}) {
				t.Errorf("letters that wait leave room: %+v", a)
			}
			g.b.Add(q1, &Message{Body: []byte("ff"), TTL: NoTTL, Passed: true})
			g.b.Add(q1, &Message{Body: []byte("gg"), TTL: NoTTL, Passed: true})
			if a := g.seal(); !slices.Equal(a.Refused, []uint32{1}) {
				t.Errorf("dead letters of another queue wait for those of this one: %+v", a)
			}
			g.do(DeadLettered{1, []Range{{1, 1}}}, Settle{1, Ack, []Range{{3, 4}}, 4})
			if a := g.publish(q1, "hh", "ii"); !slices.Equal(a.Refused, []uint32{1}) {
				t.Errorf("with one letter and one message: %+v", a)
			}
		})
	}
}

// A queue that drops its head goes on until very many letters wait.
func TestWaitingDeadLettersAreBoundedWhereTheHeadIsDropped(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit Limit
		room  int
	}{
		{"a limit below the floor", Limit{true, 1}, lettersFloor},
		{"one above", Limit{true, lettersFloor + 10}, lettersFloor + 10},
		{"none", Limit{}, 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			g.do(Configure{1, Settings{DeadLetters: true, MaxLength: c.limit}})
			taken := 0
			for range 5 {
				a := g.publish(q1, make([]string, lettersFloor/3)...)
				taken += lettersFloor/3 - len(a.Refused)
				g.do(Settle{1, Drop, []Range{{1, 1 << 30}}, 0})
			}
			want := 5 * (lettersFloor / 3)
			for n := 0; n < want; n += lettersFloor / 3 { // a batch is taken whole, or not at all
				if n >= c.room {
					want = n
				}
			}
			if taken != want || int(g.state.Queue(1).PendingDeadLetters()) != want {
				t.Errorf("took %d and has %d dead letters, want %d", taken, g.state.Queue(1).PendingDeadLetters(), want)
			}
		})
	}
}

// What a full queue refuses and dead-letters is bounded as well, and what another queue passes
// on, dead or only delayed, becomes a dead letter once.
func TestRefusedLettersAreBounded(t *testing.T) {
	g := newGroup(t)
	g.do(Configure{1, Settings{Overflow: RejectPublishDLX, DeadLetters: true, MaxLength: Limit{true, 2}}})
	g.publish(q1, "a", "b")
	g.b.Add(q1, &Message{Body: []byte("c"), TTL: NoTTL, Passed: true})
	if a := g.seal(); len(a.Refused) > 0 {
		t.Errorf("a dead letter that is dead-lettered comes again: %+v", a)
	}
	if a := g.publish(q1, "d", "e"); !slices.Equal(a.Refused, []uint32{0, 1}) {
		t.Errorf("%+v", a)
	}
	g.expect("dead", g.dead(1), "c maxlen", "d maxlen")
	g.b.Add(q1, &Message{Body: []byte("f"), TTL: NoTTL, Passed: true})
	if a := g.seal(); !slices.Equal(a.Refused, []uint32{0}) {
		t.Errorf("no room for a dead letter, which is lost: %+v", a)
	}
}

// Two queues that refuse different messages of a batch refuse both.
func TestAMessageIsRefusedWhenOneQueueRefusesIt(t *testing.T) {
	g := newGroup(t)
	g.do(Configure{1, Settings{Name: "few", Overflow: RejectPublish, MaxLength: Limit{true, 2}}},
		Configure{2, Settings{Name: "small", Overflow: RejectPublish, MaxLengthBytes: Limit{true, 4}}})
	if a := g.publish([]ID{1, 2}, "a", "long one", "b", "c"); !slices.Equal(a.Refused, []uint32{1, 2, 3}) {
		t.Errorf("refused %v", a.Refused)
	}
	g.expect("by messages", g.live(1), "a", "long one")
	g.expect("by bytes", g.live(2), "a", "b", "c")
}

func TestDeadlines(t *testing.T) {
	const ms, never = time.Millisecond, NoTTL
	for _, c := range []struct {
		name  string
		own   time.Duration
		queue Limit
		want  time.Duration // from the publish; negative: never
	}{
		{"neither has one", NoTTL, Limit{}, never},
		{"the message's own", 500 * ms, Limit{}, 500 * ms},
		{"the queue's", NoTTL, Limit{true, 700}, 700 * ms},
		{"the message's is shorter", 500 * ms, Limit{true, 700}, 500 * ms},
		{"the queue's is shorter", 500 * ms, Limit{true, 300}, 300 * ms},
		{"at once by itself", 0, Limit{true, 300}, 0},
		{"at once in this queue", NoTTL, Limit{true, 0}, 0},
		{"beyond all time", NoTTL, Limit{true, 1 << 62}, never},
		{"beyond the calendar", 1<<63 - 1, Limit{}, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			g.do(Configure{1, Settings{Name: "q"}})
			g.b.Add(q1, &Message{TTL: c.own})
			g.b.Add(q1, &Message{TTL: NoTTL})
			g.seal()
			at := g.now
			g.do(Configure{1, Settings{Name: "q", MessageTTL: c.queue}}) // as configured now
			g.state = restored(t, g.state)
			it, _ := g.state.Queue(1).After(0)
			want := time.Time{}
			if c.want >= 0 {
				want = at.Add(c.want)
			}
			if !it.Deadline.Equal(want) || !it.At.Equal(at) {
				t.Errorf("published %v, ends %v, want %v", it.At, it.Deadline, want)
			}
			if timed := g.state.Queue(1).Timed(); timed != (c.own >= 0) {
				t.Errorf("Timed() = %v", timed)
			}
		})
	}
}

func TestPrioritiesAreCapped(t *testing.T) {
	g := newGroup(t)
	publish := func() {
		for _, p := range []uint8{0, 3, 200} {
			g.b.Add([]ID{1, 2, 3}, &Message{TTL: NoTTL, Priority: p})
		}
		g.seal()
	}
	g.do(Configure{1, Settings{Name: "none"}}, Configure{2, Settings{Name: "five", MaxPriority: 5}})
	publish() // and makes queue 3
	g.do(Configure{3, Settings{Name: "ten", MaxPriority: 10}})
	for id, want := range map[ID][]uint8{1: {0, 0, 0}, 2: {0, 3, 5}, 3: {0, 3, 10}} {
		for i, priority := range want {
			if it, ok := g.state.Queue(id).Lookup(uint64(i) + 1); !ok || it.Priority != priority {
				t.Errorf("queue %d: %+v, want priority %d", id, it, priority)
			}
		}
	}
}

// In a queue with a limit of bytes the state knows what each message weighs.
func TestBytesStayExactWhereTheyAreLimited(t *testing.T) {
	g := newGroup(t)
	g.do(Configure{1, Settings{Name: "q", MaxLengthBytes: Limit{true, 1000}, DeliveryLimit: Limit{true, 0}}})
	g.publish(q1, "1", "333", "22", "55555", "4444")
	for _, c := range []struct {
		command Command
		want    uint64
	}{
		{Settle{1, Drop, []Range{{2, 2}}, UnknownBytes}, 12},
		{Requeue{1, true, []Range{{4, 4}}}, 7},
		{Purge{1, 5, []Range{{1, 1}, {5, 5}}}, 5},
		{Settle{1, Ack, []Range{{1, 1}}, 1}, 4},
	} {
		g.do(c.command)
		g.state = restored(t, g.state)
		if got := g.state.Queue(1).Bytes(); got != c.want {
			t.Errorf("after %+v: %d bytes, want %d", c.command, got, c.want)
		}
	}
}

func TestDeathsOneByOneCostLittleMemory(t *testing.T) {
	const n = 100_000
	s := backlog(t, n, 100)
	s.Apply(Entry{Commands: []Command{Configure{1, withDead}}})
	before := heap()
	for seq := uint64(1); seq <= n; seq++ {
		s.Apply(Entry{Index: seq, AppendedAt: time.Unix(0, int64(seq)), Commands: []Command{Settle{1, Reject, []Range{{seq, seq}}, 100}}})
	}
	perLetter := float64(heap()-before) / n
	t.Logf("%.1f bytes a dead letter", perLetter)
	if s.Queue(1).PendingDeadLetters() != n || perLetter > 200 {
		t.Errorf("%d dead letters, %.1f bytes each", s.Queue(1).PendingDeadLetters(), perLetter)
	}
	runtime.KeepAlive(s)
}

// TestADeadBacklogCostsLittleMemory: a backlog with a time to live of its own, which ends in
// the dead letters.
func TestADeadBacklogCostsLittleMemory(t *testing.T) {
	const n = 200_000
	for _, c := range []struct {
		name       string
		size       int
		ttls       int64 // different ones
		live, dead float64
	}{
		{"batches of a hundred with one time to live", 100, 1, 2, 2},
		{"batches of a hundred with many", 100, 50, 13, 2},
		{"batches of one with one time to live", 1, 1, 60, 60},
	} {
		before := heap()
		g := newGroup(t)
		g.do(Configure{1, withDead})
		for i := int64(0); i < n; i++ {
			g.b.Add(q1, &Message{TTL: time.Duration(i % c.ttls)})
			if g.b.Len() == c.size {
				g.seal()
			}
		}
		g.log = map[uint64][]byte{}
		live := float64(heap()-before) / n
		g.do(Settle{1, Expire, []Range{{1, n}}, 0})
		g.log = map[uint64][]byte{}
		dead := float64(heap()-before) / n
		if got := g.state.Queue(1).PendingDeadLetters(); got != n {
			t.Fatalf("%d dead letters", got)
		}
		t.Logf("%s: %.2f bytes a message, %.2f a dead letter", c.name, live, dead)
		if live > c.live || dead > c.dead {
			t.Errorf("%s: %.2f bytes a message, %.2f a dead letter; limits %.0f, %.0f", c.name, live, dead, c.live, c.dead)
		}
		runtime.KeepAlive(g)
	}
}
