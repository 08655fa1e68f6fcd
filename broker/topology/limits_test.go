package topology

import (
	"errors"
	"testing"
)

func TestVHostLimits(t *testing.T) {
	top := New()
	must(t, top, durable("a", nil), SetVHostLimits{VHost: "/", Limits: map[string]int64{MaxQueues: 2, MaxConnections: 7}},
		ofType("late", Delayed, Arguments{"x-delayed-type": Fanout}), durable("b", nil))
	const text = "cannot declare queue 'c': queue limit in vhost '/' (2) is reached"
	if _, err := top.Apply(durable("c", nil)); !errors.Is(err, ErrPreconditionFailed) || err.Error() != text {
		t.Errorf("one queue too many: %v", err)
	}
	must(t, top, durable("b", nil)) // is there already
	if top.Limits("/")[MaxConnections] != 7 {
		t.Errorf("limits %v", top.Limits("/"))
	}
	must(t, top, SetVHostLimits{VHost: "/", Limits: map[string]int64{MaxQueues: -1}}, durable("c", nil),
		SetVHostLimits{VHost: "/"}, durable("d", nil), SetVHostLimits{VHost: "/", Limits: map[string]int64{MaxQueues: 0}})
	if _, err := top.Apply(durable("e", nil)); err == nil {
		t.Error("a vhost for no queues took one")
	}
}

func TestClusterLimits(t *testing.T) {
	top := New()
	limits := Limits{VHosts: 2, Queues: 3, Exchanges: 15}
	must(t, top, limits.Attach(DeclareVHost{VHost: VHost{Name: "v"}}), limits.Attach(durable("a", nil)),
		limits.Attach(ofType("late", Delayed, Arguments{"x-delayed-type": Fanout})), // its queue is hidden
		limits.Attach(DeclareQueue{ServerNamed: true, Queue: Queue{VHost: "/", Name: "amq.rabbitmq.reply-to.1", Exclusive: true, Owner: "c"}}),
		limits.Attach(DeclareQueue{Queue: Queue{VHost: "v", Name: "b", Durable: true}}), limits.Attach(durable("c", nil)))
	tooMany := func(c Command, text string) {
		t.Helper()
		before := top.AppendSnapshot(nil)
		decoded, err := DecodeCommand(EncodeCommand(limits.Attach(c)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := top.Apply(decoded); !errors.Is(err, ErrPreconditionFailed) || err.Error() != text {
			t.Errorf("%+v: %v, want %q", c, err, text)
		}
		if string(before) != string(top.AppendSnapshot(nil)) {
			t.Errorf("%+v: the state has changed", c)
		}
	}
	tooMany(DeclareVHost{VHost: VHost{Name: "w"}}, "cannot create vhost 'w': vhost limit of 2 is reached")
	tooMany(DeclareQueue{Queue: Queue{VHost: "v", Name: "d", Durable: true}}, "cannot declare queue 'd': queue limit in cluster (3) is reached")
	tooMany(DeclareExchange{Exchange: Exchange{VHost: "v", Name: "x", Type: Fanout}},
		"cannot declare exchange 'x' in vhost 'v': exchange limit of 15 is reached")
	must(t, top, limits.Attach(DeclareVHost{VHost: VHost{Name: "v"}}), limits.Attach(durable("c", nil)),
		limits.Attach(ofType("late", Delayed, Arguments{"x-delayed-type": Fanout}))) // they are there already
	must(t, top, SetVHostLimits{VHost: "v", Limits: map[string]int64{MaxQueues: 1}})
	tooMany(DeclareQueue{Queue: Queue{VHost: "v", Name: "d", Durable: true}}, "cannot declare queue 'd': queue limit in vhost 'v' (1) is reached")
	must(t, top, DeleteQueue{VHost: "/", Name: "a"}, limits.Attach(durable("d", nil)),
		DeleteVHost{Name: "v"}, limits.Attach(DeclareVHost{VHost: VHost{Name: "w"}}), durable("unlimited", nil))
}
