package leader_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
)

// reader is a stream's consumer.
func reader(messages int, start leader.Start) leader.Consumer {
	c := consumer(messages)
	c.Start = start
	return c
}

func newStream(t *testing.T, s queue.Settings) *rig {
	r := newRig(t, leader.Config{})
	s.Stream = true
	r.configure(s)
	return r
}

func from(f leader.From) leader.Start    { return leader.Start{From: f} }
func fromSeq(seq uint64) leader.Start    { return leader.Start{From: leader.FromSeq, Seq: seq} }
func fromTime(at time.Time) leader.Start { return leader.Start{From: leader.FromTime, At: at} }

// What is read stays, for everybody, and credit is all that bounds a reader.
func TestAStreamIsReadAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{})
		r.publish("1", "2")
		r.publish("3", "4", "5")
		synctest.Wait()
		at, o := r.attach("a")
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: reader(2, from(leader.FromFirst))},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: reader(9, from(leader.FromFirst))})
		want(t, "both read all", o.take(), "1:subscribed <nil>", "1:1", "1:2", "2:subscribed <nil>", "2:1", "2:2", "2:3", "2:4", "2:5")
		request(t, at, leader.Credit{Sub: 1, Messages: 2})
		want(t, "credit lets one read on", o.take(), "1:3", "1:4")
		r.publish("6")
		want(t, "who waits gets what comes", o.take(), "2:6")
		request(t, at, leader.Release{Sub: 2}, leader.Credit{Sub: 1, Messages: 5})
		want(t, "nothing has come back", o.take(), "1:5", "1:6")
		if c := r.counts(); c.Ready != 6 || c.Unacked != 0 || c.Consumers != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestWhereAReaderBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		for _, c := range []struct {
			start leader.Start
			want  string
		}{
			{from(leader.FromFirst), "1 2 3 4 5 6 7"},
			{from(leader.FromLast), "5 6 7"},
			{from(leader.FromNext), "6 7"},
			{from(0), "6 7"}, // whoever does not say
			{fromSeq(1), "1 2 3 4 5 6 7"},
			{fromSeq(4), "4 5 6 7"},
			{fromSeq(7), "7"}, // not there yet
			{fromTime(begin.Add(-time.Hour)), "1 2 3 4 5 6 7"},
			{fromTime(begin.Add(time.Minute)), "3 4 5 6 7"},
			{fromTime(begin.Add(time.Hour)), "3 4 5 6 7"},
			{fromTime(begin.Add(24 * time.Hour)), "6 7"},
		} {
			r := newStream(t, queue.Settings{})
			if !c.start.At.IsZero() {
				c.start.At = c.start.At.Add(time.Since(begin))
			}
			r.publish("1", "2")
			time.Sleep(time.Hour)
			r.publish("3")
			time.Sleep(time.Hour)
			r.publish("4", "5")
			synctest.Wait()
			at, o := r.attach("a")
			request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: reader(9, c.start)})
			got := o.take()
			r.publish("6", "7")
			got = append(got, o.take()...)
			all := strings.ReplaceAll(strings.Join(got[1:], " "), "1:", "")
			if all != c.want {
				t.Errorf("%+v: %s, want %s", c.start, all, c.want)
			}
			r.end()
		}
	})
}

// Wherever it is led next, a reader goes on where it was, also one that has got nothing yet.
func TestAReaderGoesOnAtANewLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{})
		r.publish("1", "2", "3")
		synctest.Wait()
		at, o := r.attach("a")
		request(t, at, leader.Resumed{},
			leader.Subscribe{Sub: 1, Queue: q1, Consumer: reader(2, from(leader.FromFirst))},
			leader.Subscribe{Sub: 2, Queue: q1, Consumer: reader(9, from(leader.FromNext))})
		want(t, "before", o.take(), "1:subscribed <nil>", "1:1", "1:2", "2:subscribed <nil>")
		r.succeed(resumes, "a")
		r.publish("4")
		at, o = r.attach("a")
		request(t, at,
			leader.Resume{Sub: 1, Queue: q1, Consumer: reader(9, fromSeq(3)), Active: true},
			leader.Resume{Sub: 2, Queue: q1, Consumer: reader(9, fromSeq(4)), Active: true},
			leader.Resumed{})
		want(t, "after, and unflagged", o.take(), "1:3", "1:4", "2:4")
	})
}

// A publish may be faster than the definition: who reads already knows what it reads.
func TestAStreamThatAPublishHasMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{})
		if err := r.engine.Forget(t.Context(), q1); err != nil {
			t.Fatal(err)
		}
		r.send(mortal("1", time.Second), ranked("2", 9))
		synctest.Wait()
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: reader(9, from(leader.FromFirst))})
		want(t, "before it is configured", o.take(), "1:subscribed <nil>", "1:1", "1:2")
		r.configure(queue.Settings{Stream: true})
		time.Sleep(time.Minute)
		r.publish("3")
		want(t, "what comes then", o.take(), "1:3")
		if n := r.messages(); n != 3 {
			t.Errorf("%d messages are left of a stream, want 3", n)
		}
	})
}

func TestNobodyTakesOutOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{})
		r.publish("1")
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Get{Sub: 1, Queue: q1})
		want(t, "basic.get", o.take(), "1:got "+leader.ErrStream.Error())
		if _, err := r.engine.Purge(t.Context(), q1); !errors.Is(err, leader.ErrStream) {
			t.Errorf("Purge: %v", err)
		}
	})
}

// The head goes by the segment, and never what is within the limit nor the last segment.
func TestRetention(t *testing.T) {
	publish := func(r *rig, n int) {
		for range n {
			r.publish("0123456789")
		}
		synctest.Wait()
	}
	first := func(r *rig) (seq uint64) {
		synctest.Wait()
		r.state(func(q *queue.Queue) { seq = q.First() })
		return seq
	}
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{MaxLengthBytes: limit(50), SegmentBytes: limit(20)})
		publish(r, 6)
		if got := first(r); got != 1 {
			t.Errorf("of 60 bytes all but %d went, where 40 would be left", got-1)
		}
		publish(r, 1)
		if got := first(r); got != 3 {
			t.Errorf("70 bytes begin with %d, want 3: a segment has gone", got)
		}
		publish(r, 100)
		if got, n := first(r), r.messages(); got != 103 || n != 5 {
			t.Errorf("%d messages from %d on, want 5 from 103", n, got)
		}
		at, o := r.attach("a")
		request(t, at, leader.Resumed{}, leader.Subscribe{Sub: 1, Queue: q1, Consumer: reader(1, fromSeq(2))})
		synctest.Wait()
		if d, ok := o.events[1].(leader.Deliveries); !ok || d.List[0].Seq != 103 {
			t.Errorf("who asks for what has gone gets %+v, want the first there is", o.events)
		}
		r.configure(queue.Settings{Stream: true, MaxLengthBytes: limit(0), SegmentBytes: limit(20)})
		if got := first(r); got != 107 {
			t.Errorf("without room the last segment begins with %d, want 107", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{MaxAge: limit(3_600_000), SegmentBytes: limit(20)})
		publish(r, 3)
		time.Sleep(30 * time.Minute)
		publish(r, 4)
		time.Sleep(31 * time.Minute)
		if got := first(r); got != 3 {
			t.Errorf("after an hour it begins with %d, want 3: the second segment has a younger message", got)
		}
		time.Sleep(time.Hour)
		if got := first(r); got != 7 {
			t.Errorf("after two hours it begins with %d, want 7: the last segment stays", got)
		}
		publish(r, 2)
		if got := first(r); got != 7 {
			t.Errorf("it begins with %d, want 7: the youngest of that segment is young", got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // by segments of RabbitMQ's size
		r := newStream(t, queue.Settings{MaxLengthBytes: limit(0), MaxAge: limit(1)})
		publish(r, 50)
		time.Sleep(time.Hour)
		if n := r.messages(); n != 50 {
			t.Errorf("%d messages are left of one segment", n)
		}
	})
}

// A reader that begins far back does not pull everything into memory, and all of them get on.
func TestReadersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newStream(t, queue.Settings{})
		body := strings.Repeat("x", 10_000)
		for range 100 {
			r.publish(body, body)
		}
		synctest.Wait()
		at, o := r.attach("a")
		request(t, at, leader.Resumed{})
		for sub := range uint64(3) {
			c := reader(-1, from(leader.FromFirst))
			c.Bytes = 500_000
			request(t, at, leader.Subscribe{Sub: sub, Queue: q1, Consumer: c})
		}
		synctest.Wait()
		got := map[uint64]int{}
		for _, ev := range o.events {
			if d, ok := ev.(leader.Deliveries); ok {
				size := int64(0)
				for i := range d.List {
					size += d.List[i].Cost()
				}
				if size > 200_000 {
					t.Errorf("one event has %d bytes", size)
				}
				got[d.Sub] += len(d.List)
			}
		}
		for sub := range uint64(3) {
			if got[sub] < 49 || got[sub] > 51 {
				t.Errorf("reader %d has %d messages for credit of 50", sub, got[sub])
			}
		}
	})
}
