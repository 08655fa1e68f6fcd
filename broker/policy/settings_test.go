package policy

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/warrenmq/warren/broker/queue"
)

func set(n int64) queue.Limit { return queue.Limit{Set: true, N: n} }

func of(pairs ...any) map[string]any {
	m := make(map[string]any)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

func TestSettings(t *testing.T) {
	type settings = queue.Settings
	for _, c := range []struct {
		name                 string
		args, user, operator map[string]any
		want                 settings
	}{
		{"a bare queue has no limits", nil, nil, nil, settings{}},
		{"a quorum queue survives 20 failures", of("x-queue-type", "quorum"), nil, nil, settings{Quorum: true, DeliveryLimit: set(20)}},
		{"unless it says otherwise", of("x-queue-type", "quorum", "x-delivery-limit", int32(-1)), nil, nil, settings{Quorum: true}},
		{"or its policy", of("x-queue-type", "quorum"), of("delivery-limit", int64(-1)), nil, settings{Quorum: true}},
		{"any limit is safer than none", of("x-queue-type", "quorum", "x-delivery-limit", int64(-1)), of("delivery-limit", int64(5)), nil, settings{Quorum: true, DeliveryLimit: set(5)}},
		{"of two limits the lower", of("x-delivery-limit", int64(7)), of("delivery-limit", int64(9)), nil, settings{DeliveryLimit: set(7)}},
		{"an operator's limit is not lifted", nil, of("delivery-limit", int64(-1)), of("delivery-limit", int64(3)), settings{DeliveryLimit: set(3)}},
		{"a limit in words is none", of("x-queue-type", "quorum", "x-delivery-limit", "many"), nil, nil, settings{Quorum: true, DeliveryLimit: set(20)}},

		{"arguments of all widths", of("x-message-ttl", int8(1), "x-expires", uint16(2), "x-max-length", int32(3), "x-max-length-bytes", int64(4), "x-max-priority", uint8(255), "x-single-active-consumer", true, "x-consumer-timeout", int16(6)), nil, nil,
			settings{MessageTTL: set(1), Expires: set(2), MaxLength: set(3), MaxLengthBytes: set(4), MaxPriority: 255, SingleActive: true, ConsumerTimeout: set(6)}},
		{"numbers: the lowest of three", of("x-message-ttl", int32(30)), of("message-ttl", int64(20)), of("message-ttl", int64(10)), settings{MessageTTL: set(10)}},
		{"numbers: the argument's", of("x-message-ttl", int32(5)), of("message-ttl", int64(20)), of("message-ttl", int64(10)), settings{MessageTTL: set(5)}},
		{"zero is a limit", nil, of("max-length", int64(0)), nil, settings{MaxLength: set(0)}},
		{"policies have no priorities", nil, of("max-priority", int64(5), "single-active-consumer", true), nil, settings{}},

		{"a dead-letter exchange by argument", of("x-dead-letter-exchange", "a"), of("dead-letter-exchange", "p"), nil, settings{DeadLetters: true, DeadLetterExchange: "a"}},
		{"its key by policy", of("x-dead-letter-exchange", "a"), of("dead-letter-routing-key", "k"), nil, settings{DeadLetters: true, DeadLetterExchange: "a", HasDeadLetterKey: true, DeadLetterKey: "k"}},
		{"the default exchange, the empty key", nil, of("dead-letter-exchange", "", "dead-letter-routing-key", ""), nil, settings{DeadLetters: true, HasDeadLetterKey: true}},
		{"a key alone is nothing", nil, of("dead-letter-routing-key", "k"), nil, settings{}},

		{"a stream of its own saying", of("x-queue-type", "stream", "x-max-age", "2h", "x-max-length-bytes", int32(5), "x-stream-max-segment-size-bytes", int64(6)), nil, nil,
			settings{Stream: true, MaxAge: set(7_200_000), MaxLengthBytes: set(5), SegmentBytes: set(6)}},
		{"a stream's policy wins", of("x-queue-type", "stream", "x-max-age", "2h", "x-max-length-bytes", int32(5), "x-stream-max-segment-size-bytes", int64(6)),
			of("max-age", "1D", "max-length-bytes", int64(50), "stream-max-segment-size-bytes", int64(60)), nil,
			settings{Stream: true, MaxAge: set(86_400_000), MaxLengthBytes: set(50), SegmentBytes: set(60)}},
		{"the operator's is the lower, and holds", of("x-queue-type", "stream", "x-max-length-bytes", int32(500)), of("max-length-bytes", int64(100)), of("max-length-bytes", int64(50)),
			settings{Stream: true, MaxLengthBytes: set(50)}},
		{"what is a queue's is not a stream's", of("x-queue-type", "stream"), of("max-length", int64(1), "message-ttl", int64(1), "expires", int64(1), "dead-letter-exchange", "x", "overflow", "reject-publish", "delivery-limit", int64(1)), nil,
			settings{Stream: true}},

		{"overflow: a classic queue's argument wins", of("x-overflow", "reject-publish"), of("overflow", "drop-head"), nil, settings{Overflow: queue.RejectPublish}},
		{"overflow: a quorum queue's policy wins", of("x-queue-type", "quorum", "x-overflow", "drop-head"), of("overflow", "reject-publish"), nil, settings{Quorum: true, DeliveryLimit: set(20), Overflow: queue.RejectPublish}},
		{"overflow: the operator wins over the policy", nil, of("overflow", "drop-head"), of("overflow", "reject-publish-dlx"), settings{Overflow: queue.RejectPublishDLX}},
	} {
		var user, operator *Policy
		if c.user != nil {
			user = &Policy{Definition: c.user}
		}
		if c.operator != nil {
			operator = &Policy{Definition: c.operator}
		}
		c.want.VHost, c.want.Name = "/", "q"
		if got := Settings(queue.Settings{VHost: "/", Name: "q"}, c.args, user, operator); got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", c.name, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	got := Explain(
		of("x-queue-type", "quorum", "x-message-ttl", int64(10), "x-dead-letter-exchange", "d", "x-overflow", "drop-head", "x-expires", int64(9)),
		&Policy{Definition: of("message-ttl", int64(20), "overflow", "reject-publish", "max-length", int64(5), "dead-letter-exchange", "p")},
		&Policy{Definition: of("max-length", int64(4), "expires", int64(8))})
	want := []Effect{
		{"dead-letter-exchange", "d", Argument},
		{"delivery-limit", int64(20), Default},
		{"expires", int64(8), OperatorPolicy},
		{"max-length", int64(4), OperatorPolicy},
		{"message-ttl", int64(10), Argument},
		{"overflow", "reject-publish", UserPolicy},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Explain =\n%v, want\n%v", got, want)
	}
}

func TestEffective(t *testing.T) {
	user := &Policy{Definition: of("max-length", int64(5), "overflow", "drop-head", "ha-mode", "all", "delayed-retry-min", int64(1))}
	operator := &Policy{Definition: of("max-length", int64(9), "overflow", "reject-publish", "delayed-retry-min", int64(2))}
	want := of("max-length", int64(5), "overflow", "reject-publish", "ha-mode", "all", "delayed-retry-min", int64(2))
	if got := Effective(user, operator); !reflect.DeepEqual(got, want) {
		t.Errorf("Effective = %v, want %v", got, want)
	}
	if got := Effective(nil, nil); got != nil {
		t.Errorf("Effective of nothing = %v", got)
	}
}

func TestAlternate(t *testing.T) {
	user := &Policy{Definition: of("alternate-exchange", "p")}
	for _, c := range []struct {
		args map[string]any
		user *Policy
		want string
		ok   bool
	}{
		{nil, nil, "", false},
		{nil, user, "p", true},
		{of("alternate-exchange", "a"), user, "a", true},
		{of("alternate-exchange", ""), nil, "", true},
	} {
		if got, ok := Alternate(c.args, c.user, nil); got != c.want || ok != c.ok {
			t.Errorf("Alternate(%v, %v) = %q, %v", c.args, c.user, got, ok)
		}
	}
}

// TestNobodyLiftsALimit: whatever is said in addition, a number that limits a queue only falls.
func TestNobodyLiftsALimit(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	names := []string{"message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"}
	limits := func(s queue.Settings) []queue.Limit {
		return []queue.Limit{s.MessageTTL, s.Expires, s.MaxLength, s.MaxLengthBytes, s.DeliveryLimit}
	}
	draw := func(prefix string) map[string]any {
		m := make(map[string]any)
		for _, n := range names {
			if rng.IntN(2) == 0 {
				m[prefix+n] = rng.Int64N(50)
			}
		}
		return m
	}
	for range 2000 {
		args, user, operator := draw("x-"), &Policy{Definition: draw("")}, &Policy{Definition: draw("")}
		all := limits(Settings(queue.Settings{}, args, user, operator))
		for _, fewer := range [][]queue.Limit{
			limits(Settings(queue.Settings{}, nil, user, operator)),
			limits(Settings(queue.Settings{}, args, nil, operator)),
			limits(Settings(queue.Settings{}, args, user, nil)),
		} {
			for i := range all {
				if fewer[i].Set && (!all[i].Set || all[i].N > fewer[i].N) {
					t.Fatalf("%s: %v with all, %v with less; %v %v %v", names[i], all[i], fewer[i], args, user, operator)
				}
			}
		}
	}
}
