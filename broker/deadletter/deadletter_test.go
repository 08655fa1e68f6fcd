package deadletter

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

var died = time.Unix(1_700_000_000, 999_000_000)

func properties0(t testing.TB, p wire.Properties) []byte {
	t.Helper()
	raw, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func parsed(t testing.TB, raw []byte) wire.Properties {
	t.Helper()
	p, err := wire.ParseProperties(raw)
	if err != nil {
		t.Fatalf("% x: %v", raw, err)
	}
	return p
}

func write(t testing.TB, s queue.Settings, reason queue.Reason, at time.Time, m queue.Message) *Letter {
	t.Helper()
	l, err := Write(&s, reason, at, &m)
	if err != nil {
		t.Fatalf("Write(%+v, %v): %v", s, reason, err)
	}
	return l
}

// TestTheFirstDeathToTheOctet is J5: order of fields, types, and headers in the order of their names.
func TestTheFirstDeathToTheOctet(t *testing.T) {
	m := queue.Message{
		Exchange: "ex", RoutingKey: "k", TTL: 60 * time.Second,
		Properties: properties0(t, wire.Properties{
			ContentType: "text/plain", Headers: wire.Table{"z": int32(1), "CC": []any{"c"}}, DeliveryMode: 2, Priority: 3,
			CorrelationID: "c", ReplyTo: "r", Expiration: "60000", MessageID: "m", Timestamp: time.Unix(5, 0), AppID: "a",
		}),
	}
	l := write(t, queue.Settings{Name: "q", DeadLetters: true, DeadLetterExchange: "dlx"}, queue.Expired, died, m)
	str := func(s string) string { return "S" + string([]byte{0, 0, 0, byte(len(s))}) + s }
	name := func(s string) string { return string([]byte{byte(len(s))}) + s }
	entry := name("original-expiration") + str("60000") +
		name("count") + "l" + "\x00\x00\x00\x00\x00\x00\x00\x01" +
		name("reason") + str("expired") + name("queue") + str("q") +
		name("time") + "T" + "\x00\x00\x00\x00\x65\x53\xf1\x00" +
		name("exchange") + str("ex") +
		name("routing-keys") + "A\x00\x00\x00\x0c" + str("k") + str("c")
	long := func(s string) string { return string([]byte{0, 0, byte(len(s) >> 8), byte(len(s))}) + s }
	table := name("CC") + "A" + long(str("c")) +
		name("x-death") + "A" + long("F"+long(entry)) +
		name("x-first-death-exchange") + str("ex") + name("x-first-death-queue") + str("q") + name("x-first-death-reason") + str("expired") +
		name("x-last-death-exchange") + str("ex") + name("x-last-death-queue") + str("q") + name("x-last-death-reason") + str("expired") +
		name("z") + "I\x00\x00\x00\x01"
	want := "\xbe\xc8" + name("text/plain") + long(table) + "\x02\x03" + name("c") + name("r") + name("m") +
		"\x00\x00\x00\x00\x00\x00\x00\x05" + name("a")
	if got := string(l.Message.Properties); got != want {
		t.Errorf("properties\n%s want\n%s", hex.Dump([]byte(got)), hex.Dump([]byte(want)))
	}
	if l.Message.Exchange != "dlx" || l.Message.RoutingKey != "k" || l.Message.TTL != queue.NoTTL || !l.Message.Died || !slices.Equal(l.Keys, []string{"c"}) {
		t.Errorf("message %+v, further keys %q", l.Message, l.Keys)
	}
}

// TestDeaths follows one message through several queues.
func TestDeaths(t *testing.T) {
	type entry struct {
		queue, reason, exchange string
		count                   int64
		at                      int64
	}
	m := queue.Message{Exchange: "ex", RoutingKey: "k", TTL: time.Second, Properties: []byte{0, 0}}
	at := died
	for i, step := range []struct {
		queue  string
		reason queue.Reason
		want   []entry
	}{
		{"a", queue.Expired, []entry{{"a", "expired", "ex", 1, 0}}},
		{"b", queue.Rejected, []entry{{"b", "rejected", "dlx", 1, 60}, {"a", "expired", "ex", 1, 0}}},
		{"a", queue.Expired, []entry{{"a", "expired", "ex", 2, 0}, {"b", "rejected", "dlx", 1, 60}}},
		{"a", queue.MaxLen, []entry{{"a", "maxlen", "dlx", 1, 180}, {"a", "expired", "ex", 2, 0}, {"b", "rejected", "dlx", 1, 60}}},
		{"b", queue.Rejected, []entry{{"b", "rejected", "dlx", 2, 60}, {"a", "maxlen", "dlx", 1, 180}, {"a", "expired", "ex", 2, 0}}},
		{"b", queue.DeliveryLimited, []entry{{"b", "delivery_limit", "dlx", 1, 300}, {"b", "rejected", "dlx", 2, 60}, {"a", "maxlen", "dlx", 1, 180}, {"a", "expired", "ex", 2, 0}}},
	} {
		l := write(t, queue.Settings{Name: step.queue, DeadLetters: true, DeadLetterExchange: "dlx"}, step.reason, at, m)
		headers := parsed(t, l.Message.Properties).Headers
		var got []entry
		for _, v := range headers["x-death"].([]any) {
			d := v.(wire.Table)
			got = append(got, entry{d["queue"].(string), d["reason"].(string), d["exchange"].(string), d["count"].(int64), d["time"].(time.Time).Unix() - died.Unix()})
		}
		if !reflect.DeepEqual(got, step.want) {
			t.Errorf("death %d: %v, want %v", i+1, got, step.want)
		}
		if headers["x-first-death-queue"] != "a" || headers["x-first-death-reason"] != "expired" || headers["x-first-death-exchange"] != "ex" ||
			headers["x-last-death-queue"] != step.queue || headers["x-last-death-reason"] != step.reason.String() {
			t.Errorf("death %d: %v", i+1, headers)
		}
		m, at = l.Message, at.Add(time.Minute)
	}
}

func TestWhatThePublisherSaidOfDeathsCountsNot(t *testing.T) {
	forged := []any{wire.Table{"queue": "q", "reason": "rejected", "count": int64(41)}}
	m := queue.Message{RoutingKey: "k", TTL: queue.NoTTL, Properties: properties0(t, wire.Properties{Headers: wire.Table{"x-death": forged, "x-first-death-queue": "forged", "other": true}})}
	headers := parsed(t, write(t, queue.Settings{Name: "q", DeadLetters: true}, queue.Rejected, died, m).Message.Properties).Headers
	deaths := headers["x-death"].([]any)
	if len(deaths) != 1 || deaths[0].(wire.Table)["count"] != int64(1) || headers["x-first-death-queue"] != "q" || headers["other"] != true {
		t.Errorf("%v", headers)
	}
	if _, ok := deaths[0].(wire.Table)["original-expiration"]; ok {
		t.Errorf("%v has an expiration, the message had none", deaths[0])
	}
}

func TestRoutingKeys(t *testing.T) {
	m := queue.Message{RoutingKey: "k", Blind: []string{"b"}, TTL: queue.NoTTL, Properties: properties0(t, wire.Properties{Headers: wire.Table{"CC": []any{"c", int32(1), "d"}}})}
	s := queue.Settings{Name: "q", DeadLetters: true}

	own := write(t, s, queue.Rejected, died, m)
	headers := parsed(t, own.Message.Properties).Headers
	if keys := headers["x-death"].([]any)[0].(wire.Table)["routing-keys"]; !reflect.DeepEqual(keys, []any{"k", "c", "d"}) {
		t.Errorf("routing-keys %v: CC is told, BCC is not", keys)
	}
	if !slices.Equal(own.Keys, []string{"c", "d", "b"}) || own.Message.RoutingKey != "k" || headers["CC"] == nil {
		t.Errorf("without a dead-letter key: %q and %q, CC %v", own.Message.RoutingKey, own.Keys, headers["CC"])
	}

	s.HasDeadLetterKey, s.DeadLetterKey = true, ""
	other := write(t, s, queue.Rejected, died, m)
	headers = parsed(t, other.Message.Properties).Headers
	if len(other.Keys) != 0 || other.Message.RoutingKey != "" || headers["CC"] != nil || other.Message.Blind != nil {
		t.Errorf("with one: %q and %q, CC %v, blind %v", other.Message.RoutingKey, other.Keys, headers["CC"], other.Message.Blind)
	}
	if keys := headers["x-death"].([]any)[0].(wire.Table)["routing-keys"]; !reflect.DeepEqual(keys, []any{"k", "c", "d"}) {
		t.Errorf("routing-keys %v with a dead-letter key", keys)
	}
}

func TestCycles(t *testing.T) {
	death := func(s string) Death {
		queue, reason, _ := strings.Cut(s, " ")
		return Death{Queue: queue, Reason: reason}
	}
	for _, c := range []struct {
		deaths []string // newest first
		want   bool     // of target q
	}{
		{[]string{"q expired"}, true},
		{[]string{"q maxlen"}, true},
		{[]string{"q delivery_limit"}, true},
		{[]string{"q rejected"}, false},
		{[]string{"other expired"}, false},
		{[]string{"other expired", "q expired"}, true},
		{[]string{"other rejected", "q expired"}, false},
		{[]string{"other expired", "q rejected"}, false},
		{[]string{"other expired", "q expired", "third rejected"}, true},
		{[]string{"other expired", "third rejected", "q expired"}, false},
		{[]string{"q expired", "q rejected"}, true},
	} {
		l := &Letter{}
		for _, d := range c.deaths {
			l.Deaths = append(l.Deaths, death(d))
		}
		if got := l.Cycles("q"); got != c.want {
			t.Errorf("died %q, to q again: %v, want %v", c.deaths, got, c.want)
		}
	}
}

func TestADeathTooManyLeavesOutTheOldest(t *testing.T) {
	m := queue.Message{RoutingKey: "k", TTL: queue.NoTTL, Properties: []byte{0, 0}}
	for i := range maxDeaths + 5 {
		l := write(t, queue.Settings{Name: strings.Repeat("q", i+1), DeadLetters: true}, queue.MaxLen, died, m)
		m = l.Message
		if want := min(i+1, maxDeaths); len(l.Deaths) != want || len(l.Deaths[0].Queue) != i+1 {
			t.Fatalf("after %d: %d deaths, want %d", i+1, len(l.Deaths), want)
		}
	}
}

func TestWaited(t *testing.T) {
	for _, c := range []struct {
		ms   int64
		want string
	}{
		{5000, "I\xff\xff\xec\x78"},
		{-5000, "I\x00\x00\x13\x88"},
		{1 << 31, "I\x80\x00\x00\x00"},
		{1<<32 - 1, "l\xff\xff\xff\xff\x00\x00\x00\x01"},
	} {
		got := waited([]wire.Entry{{Key: "z"}, {Key: "x-delay", Value: []byte("S\x00\x00\x00\x015")}, {Key: "a"}}, c.ms)
		if len(got) != 3 || got[0].Key != "a" || got[1].Key != "x-delay" || string(got[1].Value) != c.want {
			t.Errorf("waited %d ms: %q, want %q", c.ms, got, c.want)
		}
	}
}

// FuzzWrite: whatever properties a message has, its death can be written into them,
// and all but headers and expiration stay as they were.
func FuzzWrite(f *testing.F) {
	f.Add([]byte{0, 0}, true, "k", true)
	f.Add(properties0(f, wire.Properties{Headers: wire.Table{"CC": []any{"a"}, "x-death": []any{wire.Table{"queue": "q", "reason": "expired", "count": int64(3)}}}, Expiration: "5", MessageID: "m", ClusterID: "c"}), true, "k", false)
	f.Add(properties0(f, wire.Properties{ContentType: "t", ReplyTo: "r", UserID: "u"}), false, "", true)
	f.Fuzz(func(t *testing.T, raw []byte, before bool, key string, keyed bool) {
		p, err := wire.ParseProperties(raw)
		if err != nil || len(key) > 255 {
			return
		}
		in := bytes.Clone(raw)
		m := queue.Message{Exchange: "x", RoutingKey: key, Properties: raw, TTL: 5, Died: before}
		s := queue.Settings{Name: "q", DeadLetters: true, DeadLetterExchange: "d", HasDeadLetterKey: keyed, DeadLetterKey: key}
		l, err := Write(&s, queue.Expired, died, &m)
		if err != nil {
			t.Fatalf("% x: %v", raw, err)
		}
		if !bytes.Equal(in, raw) {
			t.Fatalf("% x was changed to % x", in, raw)
		}
		got, err := wire.ParseProperties(l.Message.Properties)
		if err != nil {
			t.Fatalf("% x became % x: %v", raw, l.Message.Properties, err)
		}
		p.Headers, got.Headers, p.Expiration = nil, nil, ""
		p.Present = p.Present&^wire.HasExpiration | wire.HasHeaders
		if !reflect.DeepEqual(p, got) {
			t.Fatalf("%+v became %+v", p, got)
		}
		if d := l.Deaths[0]; d.Queue != "q" || d.Reason != "expired" || len(l.Deaths) > maxDeaths {
			t.Fatalf("%v", l.Deaths)
		}
	})
}
