package topology

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/queue"
)

// must applies commands that are expected to succeed and returns the last result.
func must(t testing.TB, top *Topology, cs ...Command) Result {
	t.Helper()
	var r Result
	for _, c := range cs {
		var err error
		if r, err = top.Apply(c); err != nil {
			t.Fatalf("Apply(%+v) = %v", c, err)
		}
	}
	return r
}

func exchange(name, kind string) DeclareExchange {
	return DeclareExchange{Exchange: Exchange{VHost: "/", Name: name, Type: kind, Durable: true}}
}

func ofType(name, kind string, args Arguments) DeclareExchange {
	return DeclareExchange{Exchange: Exchange{VHost: "/", Name: name, Type: kind, Durable: true, Arguments: args}, Group: 1}
}

func autoDelete(name string) DeclareExchange {
	return DeclareExchange{Exchange: Exchange{VHost: "/", Name: name, Type: Fanout, AutoDelete: true}}
}

func durable(name string, args Arguments) DeclareQueue {
	return DeclareQueue{Queue: Queue{VHost: "/", Name: name, Durable: true, Group: 1, Arguments: args}}
}

func exclusive(name, owner string) DeclareQueue {
	return DeclareQueue{Queue: Queue{VHost: "/", Name: name, Exclusive: true, Owner: owner, Home: "a@1", HomeEpoch: 3}}
}

func bindQueue(source, queue, key string, args Arguments) Bind {
	return Bind{Binding: Binding{VHost: "/", Source: source, Destination: queue, RoutingKey: key, Arguments: args}}
}

func bindExchange(source, destination string) Bind {
	return Bind{Binding: Binding{VHost: "/", Source: source, Destination: destination, ToExchange: true}}
}

// world is a vhost with a little of everything.
func world(t testing.TB) *Topology {
	top := New()
	must(t, top,
		exchange("x", Direct), exchange("h", Headers), exchange("f", Fanout), autoDelete("auto"),
		DeclareExchange{Exchange: Exchange{VHost: "/", Name: "in", Type: Topic, Durable: true, Internal: true,
			Arguments: Arguments{"alternate-exchange": "ae"}}},
		ofType("hash", ConsistentHash, nil), ofType("local", LocalRandom, nil), ofType("late", Delayed, Arguments{"x-delayed-type": ConsistentHash}),
		durable("q", Arguments{"x-max-length": int32(5), "x-queue-type": "quorum"}), durable("c", nil),
		exclusive("mine", "conn-1"),
		bindQueue("x", "q", "k", nil), bindExchange("x", "f"), bindQueue("h", "q", "", Arguments{"x-match": "any", "a": int32(1)}),
	)
	return top
}

// ofStream declares a stream with further arguments.
func ofStream(args Arguments) DeclareQueue {
	c := durable("new", Arguments{"x-queue-type": "stream"})
	maps.Copy(c.Queue.Arguments, args)
	return c
}

func flagged(c DeclareQueue, change func(*Queue)) DeclareQueue {
	change(&c.Queue)
	return c
}

// TestAStreamIsAStream is E15: it keeps its type and has the settings of one.
func TestAStreamIsAStream(t *testing.T) {
	top := world(t)
	r, err := top.Apply(ofStream(Arguments{"x-max-age": "7D", "x-max-length-bytes": int64(1000), "x-stream-max-segment-size-bytes": int64(100),
		"x-stream-filter-size-bytes": int32(16), "x-initial-cluster-size": int32(3), "x-queue-leader-locator": "balanced"}))
	if err != nil {
		t.Fatal(err)
	}
	want := queue.Settings{VHost: "/", Name: "new", Stream: true, MaxLengthBytes: queue.Limit{Set: true, N: 1000},
		MaxAge: queue.Limit{Set: true, N: 7 * 24 * 3_600_000}, SegmentBytes: queue.Limit{Set: true, N: 100}}
	if got := top.Settings(r.Queue); got != want || r.Queue.Type() != "stream" || !r.Queue.Stream() {
		t.Errorf("%s with %+v, want %+v", r.Queue.Type(), got, want)
	}
	if _, err := top.Apply(durable("new", Arguments{"x-max-length-bytes": int32(1000)})); err == nil || err.Error() !=
		"inequivalent arg 'x-queue-type' for queue 'new' in vhost '/': received none but current is the value 'stream' of type 'longstr'" {
		t.Errorf("it was declared as a queue: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	long := make([]byte, 300)
	with := func(name string, v any) DeclareQueue { return durable("new", Arguments{name: v}) }
	for _, tt := range []struct {
		name    string
		command Command
		kind    error
		text    string
	}{
		{"a type differs", exchange("x", Fanout), ErrPreconditionFailed,
			"inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'"},
		{"durable differs", DeclareExchange{Exchange: Exchange{VHost: "/", Name: "x", Type: Direct}}, ErrPreconditionFailed,
			"inequivalent arg 'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'"},
		{"auto_delete differs", DeclareExchange{Exchange: Exchange{VHost: "/", Name: "x", Type: Direct, Durable: true, AutoDelete: true}},
			ErrPreconditionFailed, "inequivalent arg 'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'"},
		{"internal differs", exchange("in", Topic), ErrPreconditionFailed,
			"inequivalent arg 'internal' for exchange 'in' in vhost '/': received 'false' but current is 'true'"},
		{"an alternate exchange is missing", DeclareExchange{Exchange: Exchange{VHost: "/", Name: "in", Type: Topic, Durable: true, Internal: true}},
			ErrPreconditionFailed, "inequivalent arg 'alternate-exchange' for exchange 'in' in vhost '/': " +
				"received none but current is the value 'ae' of type 'longstr'"},
		{"an exchange type is unknown", exchange("new", "foo"), ErrPreconditionFailed, "unknown exchange type 'foo'"},
		{"the default exchange is declared", exchange("", Direct), ErrAccessRefused, "operation not permitted on the default exchange"},
		{"an exchange name is reserved", exchange("amq.new", Direct), ErrAccessRefused,
			"exchange name 'amq.new' contains reserved prefix 'amq.*'"},
		{"a system exchange is redeclared otherwise", exchange("amq.direct", Fanout), ErrPreconditionFailed,
			"inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received 'fanout' but current is 'direct'"},
		{"an alternate exchange is a number", DeclareExchange{Exchange: Exchange{VHost: "/", Name: "new", Type: Direct,
			Arguments: Arguments{"alternate-exchange": int64(1)}}}, ErrPreconditionFailed,
			"invalid type 'long' for arg 'alternate-exchange' in exchange 'new' in vhost '/'"},
		{"an exchange in use is deleted if unused", DeleteExchange{"/", "x", true}, ErrPreconditionFailed, "exchange 'x' in vhost '/' in use"},
		{"a system exchange is deleted", DeleteExchange{"/", "amq.direct", false}, ErrAccessRefused,
			"deletion of system exchange 'amq.direct' in vhost '/' not allowed"},
		{"the default exchange is deleted", DeleteExchange{"/", "", false}, ErrAccessRefused, "operation not permitted on the default exchange"},
		{"a vhost is missing", DeclareExchange{Exchange: Exchange{VHost: "v", Name: "x", Type: Direct}}, ErrNotAllowed, "vhost v not found"},

		{"a queue's durable differs", DeclareQueue{Queue: Queue{VHost: "/", Name: "c"}}, ErrPreconditionFailed,
			"inequivalent arg 'durable' for queue 'c' in vhost '/': received 'false' but current is 'true'"},
		{"a queue's auto_delete differs", DeclareQueue{Queue: Queue{VHost: "/", Name: "c", Durable: true, AutoDelete: true}},
			ErrPreconditionFailed, "inequivalent arg 'auto_delete' for queue 'c' in vhost '/': received 'true' but current is 'false'"},
		{"an argument is new", durable("c", Arguments{"x-max-length": int64(1)}), ErrPreconditionFailed,
			"inequivalent arg 'x-max-length' for queue 'c' in vhost '/': received the value '1' of type 'long' but current is none"},
		{"an argument differs", durable("q", Arguments{"x-max-length": int64(6), "x-queue-type": "quorum"}), ErrPreconditionFailed,
			"inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received '6' but current is '5'"},
		{"the queue type differs", durable("q", Arguments{"x-max-length": int64(5), "x-queue-type": "classic"}), ErrPreconditionFailed,
			"inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'"},
		{"the queue type is gone", durable("q", Arguments{"x-max-length": int64(5)}), ErrPreconditionFailed,
			"inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received none but current is the value 'quorum' of type 'longstr'"},
		{"a queue is another connection's", exclusive("mine", "conn-2"), ErrResourceLocked,
			"cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on another " +
				"connection or the exclusive property value does not match that of the original declaration."},
		{"a shared queue is declared exclusive", exclusive("c", "conn-1"), ErrResourceLocked,
			"cannot obtain exclusive access to locked queue 'c' in vhost '/'. It could be originally declared on another " +
				"connection or the exclusive property value does not match that of the original declaration."},
		{"a queue name is reserved", durable("amq.q", nil), ErrAccessRefused, "queue name 'amq.q' contains reserved prefix 'amq.*'"},
		{"a queue name is too long", durable(string(long), nil), ErrPreconditionFailed, "queue name is longer than 255 bytes"},
		{"a length is negative", with("x-max-length", int32(-5)), ErrPreconditionFailed,
			"invalid arg 'x-max-length' for queue 'new' in vhost '/': {value_negative,-5}"},
		{"a length is a string", with("x-max-length", "5"), ErrPreconditionFailed,
			`invalid arg 'x-max-length' for queue 'new' in vhost '/': "expected integer, got longstr"`},
		{"an overflow is a number", with("x-overflow", int32(1)), ErrPreconditionFailed,
			"invalid arg 'x-overflow' for queue 'new' in vhost '/': {unacceptable_type,signedint}"},
		{"an overflow is unknown", with("x-overflow", "drop-tail"), ErrPreconditionFailed,
			"invalid arg 'x-overflow' for queue 'new' in vhost '/': invalid_overflow"},
		{"a queue expires at once", with("x-expires", int32(0)), ErrPreconditionFailed,
			"invalid arg 'x-expires' for queue 'new' in vhost '/': {value_zero,0}"},
		{"a TTL is of the next decade", with("x-message-ttl", int64(315_360_000_001)), ErrPreconditionFailed,
			"invalid arg 'x-message-ttl' for queue 'new' in vhost '/': {value_too_large,315360000001}"},
		{"a priority is too high", with("x-max-priority", int16(256)), ErrPreconditionFailed,
			"invalid arg 'x-max-priority' for queue 'new' in vhost '/': {max_value_exceeded,256}"},
		{"a dead letter exchange is a number", with("x-dead-letter-exchange", int32(1)), ErrPreconditionFailed,
			"invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'new' in vhost '/'"},
		{"a dead letter key is alone", with("x-dead-letter-routing-key", "k"), ErrPreconditionFailed,
			"invalid arg 'x-dead-letter-routing-key' for queue 'new' in vhost '/': routing_key_but_no_dlx_defined"},
		{"a single active consumer is no boolean", with("x-single-active-consumer", "true"), ErrPreconditionFailed,
			"invalid arg 'x-single-active-consumer' for queue 'new' in vhost '/': {unacceptable_type,longstr}"},
		{"a queue type is unknown", with("x-queue-type", "foo"), ErrPreconditionFailed,
			`invalid arg 'x-queue-type' for queue 'new' in vhost '/': "unsupported queue type 'foo'"`},
		{"a group size is zero", with("x-quorum-initial-group-size", int32(0)), ErrPreconditionFailed,
			"invalid arg 'x-quorum-initial-group-size' for queue 'new' in vhost '/': {value_zero,0}"},
		{"a queue has a stream's argument", with("x-max-age", "1D"), ErrPreconditionFailed,
			"invalid arg 'x-max-age' for queue 'new' in vhost '/' of queue type rabbit_classic_queue"},
		{"a stream has a queue's argument", ofStream(Arguments{"x-max-length": int32(5)}), ErrPreconditionFailed,
			"invalid arg 'x-max-length' for queue 'new' in vhost '/' of queue type rabbit_stream_queue"},
		{"a stream has a queue's argument that is wrong", ofStream(Arguments{"x-message-ttl": int32(-5)}), ErrPreconditionFailed,
			"invalid arg 'x-message-ttl' for queue 'new' in vhost '/' of queue type rabbit_stream_queue"},
		{"an age has no unit", ofStream(Arguments{"x-max-age": "7"}), ErrPreconditionFailed,
			"invalid arg 'x-max-age' for queue 'new' in vhost '/': invalid_max_age"},
		{"an age is a number", ofStream(Arguments{"x-max-age": int32(7)}), ErrPreconditionFailed,
			"invalid arg 'x-max-age' for queue 'new' in vhost '/': {unacceptable_type,signedint}"},
		{"a stream's length is negative", ofStream(Arguments{"x-max-length-bytes": int32(-1)}), ErrPreconditionFailed,
			"invalid arg 'x-max-length-bytes' for queue 'new' in vhost '/': {value_negative,-1}"},
		{"a segment is too large", ofStream(Arguments{"x-stream-max-segment-size-bytes": int64(3_000_000_001)}), ErrPreconditionFailed,
			"Exceeded max value for x-stream-max-segment-size-bytes"},
		{"a filter is too small", ofStream(Arguments{"x-stream-filter-size-bytes": int32(15)}), ErrPreconditionFailed,
			"Invalid value for x-stream-filter-size-bytes"},
		{"a filter is too large", ofStream(Arguments{"x-stream-filter-size-bytes": int32(256)}), ErrPreconditionFailed,
			"Invalid value for x-stream-filter-size-bytes"},
		{"a stream has no members", ofStream(Arguments{"x-initial-cluster-size": int32(0)}), ErrPreconditionFailed,
			"invalid arg 'x-initial-cluster-size' for queue 'new' in vhost '/': {value_zero,0}"},
		{"a stream is auto-delete", flagged(ofStream(nil), func(q *Queue) { q.AutoDelete = true }), ErrPreconditionFailed,
			"invalid property 'auto-delete' for queue 'new' in vhost '/'"},
		{"a stream is exclusive", flagged(ofStream(nil), func(q *Queue) { q.Exclusive, q.Owner = true, "conn-1" }), ErrPreconditionFailed,
			"invalid property 'exclusive-owner' for queue 'new' in vhost '/'"},
		{"a stream is not durable", flagged(ofStream(nil), func(q *Queue) { q.Durable = false }), ErrPreconditionFailed,
			"invalid property 'non-durable' for queue 'new' in vhost '/'"},
		{"a stream has no name of its own", DeclareQueue{Queue: ofStream(nil).Queue, ServerNamed: true}, ErrPreconditionFailed,
			"Cannot declare a server-named queue for type rabbit_stream_queue"},
		{"a queue type is a number", with("x-queue-type", int32(1)), ErrPreconditionFailed,
			"invalid arg 'x-queue-type' for queue 'new' in vhost '/': {unacceptable_type,signedint}"},
		{"another's queue is deleted", DeleteQueue{VHost: "/", Name: "mine", Connection: "conn-2"}, ErrResourceLocked,
			"cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on another " +
				"connection or the exclusive property value does not match that of the original declaration."},

		{"the source is missing", bindQueue("no", "none", "k", nil), ErrNotFound, "no exchange 'no' in vhost '/'"},
		{"the queue is missing", bindQueue("x", "none", "k", nil), ErrNotFound, "no queue 'none' in vhost '/'"},
		{"the destination exchange is missing", bindExchange("x", "none"), ErrNotFound, "no exchange 'none' in vhost '/'"},
		{"the default exchange is bound", bindQueue("", "q", "k", nil), ErrAccessRefused, "operation not permitted on the default exchange"},
		{"the default exchange is a destination", bindExchange("x", ""), ErrAccessRefused, "operation not permitted on the default exchange"},
		{"the default exchange is unbound", Unbind(bindQueue("", "q", "k", nil)), ErrAccessRefused, "operation not permitted on the default exchange"},
		{"a reply queue is bound", bindQueue("x", "amq.rabbitmq.reply-to.x", "k", nil), ErrAccessRefused,
			"cannot bind or unbind to a volatile (direct reply-to) queue"},
		{"another's queue is bound", bindQueue("x", "mine", "k", nil), ErrResourceLocked,
			"cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on another " +
				"connection or the exclusive property value does not match that of the original declaration."},
		{"x-match is unknown", bindQueue("h", "q", "", Arguments{"x-match": "some"}), ErrPreconditionFailed,
			`Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x`},
		{"an exchange type is another thing's word", exchange("new", "queue"), ErrPreconditionFailed, "invalid exchange type 'queue'"},
		{"an exchange type is empty", exchange("new", ""), ErrPreconditionFailed, "invalid exchange type ''"},
		{"a hash has two sources", ofType("new", ConsistentHash, Arguments{"hash-header": "h", "hash-property": "message_id"}), ErrPreconditionFailed,
			"hash-header and hash-property are mutually exclusive"},
		{"a hash has a property that is none", ofType("new", ConsistentHash, Arguments{"hash-property": "app_id"}), ErrPreconditionFailed,
			"Unsupported property: app_id"},
		{"a weight is no number", bindQueue("hash", "q", "ten", nil), ErrPreconditionFailed, `The binding key must be an integer: <<"ten">>`},
		{"a weight is zero", bindQueue("hash", "q", "0", nil), ErrPreconditionFailed, "The binding key must be greater than 0"},
		{"a weight is too high", bindQueue("hash", "q", "10001", nil), ErrPreconditionFailed, "The binding key must not exceed 10000"},
		{"a weight of a delayed hash is zero", bindQueue("late", "q", "0", nil), ErrPreconditionFailed, "The binding key must be greater than 0"},
		{"a local binding has a key", bindQueue("local", "q", "k", nil), ErrPreconditionFailed, "Non empty binding 'k' key not permitted"},
		{"a local binding leads to an exchange", bindExchange("local", "f"), ErrPreconditionFailed, "Destination not found"},
		{"a history has no length", ofType("new", RecentHistory, Arguments{"x-recent-history-length": int32(0)}), ErrPreconditionFailed,
			"Invalid argument 0, 'x-recent-history-length' must be a positive integer"},
		{"a history's length is a string", ofType("new", RecentHistory, Arguments{"x-recent-history-length": "5"}), ErrPreconditionFailed,
			`Invalid argument <<"5">>, 'x-recent-history-length' must be a positive integer`},
		{"a delayed exchange has no type", exchange("new", Delayed), ErrPreconditionFailed,
			"Invalid argument, 'x-delayed-type' must be an existing exchange type"},
		{"a delayed exchange has a type that is none", ofType("new", Delayed, Arguments{"x-delayed-type": "foo"}), ErrPreconditionFailed,
			"unknown exchange type 'foo'"},
		{"a delayed exchange delays itself", ofType("new", Delayed, Arguments{"x-delayed-type": Delayed}), ErrPreconditionFailed,
			"Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'"},
		{"a hidden queue is declared", durable("amq.delayed.late", nil), ErrAccessRefused,
			"queue name 'amq.delayed.late' contains reserved prefix 'amq.*'"},
		{"a hidden queue is bound", bindQueue("x", "amq.delayed.late", "k", nil), ErrNotFound, "no queue 'amq.delayed.late' in vhost '/'"},
		{"x-match is a number", bindQueue("h", "q", "", Arguments{"x-match": int32(3)}), ErrPreconditionFailed,
			"Invalid x-match field type signedint (value 3); expected longstr"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := world(t)
			before := top.AppendSnapshot(nil)
			_, err := top.Apply(tt.command)
			if !errors.Is(err, tt.kind) || err.Error() != tt.text {
				t.Errorf("Apply(%+v)\n got %v\nwant %s (%v)", tt.command, err, tt.text, tt.kind)
			}
			if !slices.Equal(before, top.AppendSnapshot(nil)) {
				t.Error("a refused command changed the state")
			}
		})
	}
}

func TestAcceptedAndUnchanged(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command Command
	}{
		{"an exchange is redeclared", exchange("x", Direct)},
		{"other arguments of an exchange are not compared", DeclareExchange{Exchange: Exchange{VHost: "/", Name: "x", Type: Direct, Durable: true,
			Arguments: Arguments{"foo": "bar"}}}},
		{"a system exchange is redeclared", exchange("amq.topic", Topic)},
		{"a queue is redeclared with another integer width", durable("q", Arguments{"x-max-length": int64(5), "x-queue-type": "quorum"})},
		{"classic is the default type", durable("c", Arguments{"x-queue-type": "classic"})},
		{"unknown arguments are not compared", durable("c", Arguments{"x-foo": "bar"})},
		{"an exclusive queue is its owner's", exclusive("mine", "conn-1")},
		{"durable means nothing to exclusive queues", DeclareQueue{Queue: Queue{VHost: "/", Name: "mine", Exclusive: true, Durable: true, Owner: "conn-1"}}},
		{"a binding is repeated", bindQueue("x", "q", "k", nil)},
		{"a missing binding is removed", Unbind(bindQueue("x", "q", "other", nil))},
		{"a binding with other arguments is removed", Unbind(bindQueue("x", "q", "k", Arguments{"a": nil}))},
		{"a binding of a missing exchange is removed", Unbind(bindQueue("none", "q", "k", nil))},
		{"a missing exchange is deleted", DeleteExchange{"/", "none", true}},
		{"a queue without a type says so", durable("c", Arguments{"x-queue-type": ""})},
		{"a delayed exchange is redeclared with another type behind it", ofType("late", Delayed, Arguments{"x-delayed-type": Fanout})},
		{"a hidden queue is deleted", DeleteQueue{VHost: "/", Name: "amq.delayed.late"}},
		{"no exchange is that old", DropVolatile{Through: 1}},
		{"a missing queue is deleted", DeleteQueue{VHost: "/", Name: "none", Connection: "conn-1"}},
		{"a queue that followed under the name is not meant", DeleteQueue{VHost: "/", Name: "q", ID: 99}},
		{"a vhost is redeclared", DeclareVHost{VHost: VHost{Name: "/"}}},
		{"a missing vhost is deleted", DeleteVHost{Name: "none"}},
		{"nobody owned anything", DeleteOwned{Owner: "conn-9"}},
		{"no owner is no owner", DeleteOwned{}},
		{"the node is still in its epoch", DropTransient{Home: "a@1", BeforeEpoch: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := world(t)
			before := top.AppendSnapshot(nil)
			r, err := top.Apply(tt.command)
			if err != nil || r.Created || len(r.Changes) > 0 {
				t.Errorf("Apply(%+v) = %+v, %v; want nothing new", tt.command, r, err)
			}
			if !slices.Equal(before, top.AppendSnapshot(nil)) {
				t.Error("the state changed")
			}
		})
	}
}

func TestQueueArgumentsOfEveryTypeAreKept(t *testing.T) {
	args := Arguments{
		"x-message-ttl": int32(0), "x-expires": int64(1), "x-max-length": uint8(0), "x-max-length-bytes": uint32(1),
		"x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "k",
		"x-dead-letter-strategy": "at-least-once", "x-max-priority": int8(10), "x-single-active-consumer": true,
		"x-queue-mode": "lazy", "x-queue-version": int32(1), "x-queue-master-locator": "min-masters",
		"x-queue-leader-locator": "balanced", "x-quorum-initial-group-size": int32(5), "x-delivery-limit": int32(-1),
		"x-consumer-timeout": int32(1000), "x-delayed-retry-type": "all", "x-member-placement-tag": "ssd",
		"x-foo": []any{Decimal{2, -5}, float32(1), time.Unix(7, 0).UTC(), Arguments{"n": nil}},
	}
	for _, kind := range []string{"classic", "quorum"} {
		top := New()
		args["x-queue-type"] = kind
		r := must(t, top, durable("q", args))
		if !r.Created || !SameValue(r.Queue.Arguments, args) {
			t.Errorf("%s: got %v, want %v", kind, r.Queue.Arguments, args)
		}
		again := must(t, top, durable("q", args))
		if again.Created || again.Queue != r.Queue {
			t.Errorf("%s: redeclaring gave %+v", kind, again)
		}
	}
}

func TestServerNamedQueue(t *testing.T) {
	name, err := ServerName([16]byte{0xff, 1}, nil)
	if err != nil || name != "amq.gen-_wEAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("ServerName = %q, %v", name, err)
	}
	c := durable(name, Arguments{"x-name-prefix": "amq.gen"})
	c.ServerNamed = true
	top := New()
	if r := must(t, top, c); !r.Created || len(r.Queue.Arguments) != 0 {
		t.Errorf("Apply(%+v) = %+v", c, r)
	}
	if name, err = ServerName([16]byte{}, Arguments{"x-name-prefix": "reply"}); err != nil || name != "reply-AAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("ServerName with a prefix = %q, %v", name, err)
	}
	long := string(make([]byte, 65))
	if _, err = ServerName([16]byte{}, Arguments{"x-name-prefix": long}); !errors.Is(err, ErrPreconditionFailed) {
		t.Errorf("ServerName with a long prefix: %v", err)
	}
	if got := CleanName("a\r\nb\n"); got != "ab" {
		t.Errorf("CleanName = %q", got)
	}
}

func TestQueueIDsAreNeverGivenTwice(t *testing.T) {
	top := New()
	first := must(t, top, durable("q", nil)).Queue.ID
	must(t, top, DeleteQueue{VHost: "/", Name: "q"})
	top, err := RestoreTopology(top.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	if second := must(t, top, durable("q", nil)).Queue.ID; second <= first {
		t.Errorf("queue id %d after %d", second, first)
	}
}

func TestPredeclaredExchanges(t *testing.T) {
	top := New()
	r := must(t, top, DeclareVHost{VHost: VHost{Name: "v"}})
	if !r.Created || len(r.Changes) != 8 {
		t.Errorf("declaring a vhost gave %+v", r)
	}
	want := map[string]string{"": Direct, "amq.direct": Direct, "amq.fanout": Fanout, "amq.headers": Headers,
		"amq.match": Headers, "amq.rabbitmq.trace": Topic, "amq.topic": Topic}
	for _, v := range []string{"/", "v"} {
		xs := top.Exchanges(v)
		if len(xs) != len(want) {
			t.Errorf("%d exchanges in vhost %q, want %d", len(xs), v, len(want))
		}
		for _, x := range xs {
			if want[x.Name] != x.Type || !x.Durable || x.AutoDelete || x.Internal != (x.Name == "amq.rabbitmq.trace") || x.VHost != v {
				t.Errorf("vhost %q has %+v", v, x)
			}
		}
	}
}
