package diff

import (
	"strings"
	"testing"

	"github.com/warrenmq/warren/broker/wire"
)

func TestCompareFindsTheFewestLines(t *testing.T) {
	tests := []struct{ name, reference, warren, want string }{
		{"equal", "a b c", "a b c", ""},
		{"one line changed", "a b c", "a x c", "- b\n+ x"},
		{"one line more", "a c", "a b c", "+ b"},
		{"it ends early", "a b c", "a", "- b\n- c"},
		{"nothing in common", "a", "b", "- a\n+ b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := changes(compare(strings.Fields(tt.reference), strings.Fields(tt.warren))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatDiffersFromRunToRunIsSymbolic(t *testing.T) {
	s := &S{suffix: "-ab120001", seen: make(map[string]string)}
	tests := []struct{ in, want string }{
		{"queue=q-ab120001 key=a.q-ab120001", "queue=q key=a.q"},
		{"queue=amq.gen-JzTY20BRgKO-HjmUJj0wLg", "queue=amq.gen-<1>"},
		{"amq.gen-AAAAAAAAAAAAAAAAAAAAAA amq.gen-JzTY20BRgKO-HjmUJj0wLg", "amq.gen-<2> amq.gen-<1>"},
		{"amq.ctag-JzTY20BRgKO-HjmUJj0wLg", "amq.ctag-<1>"},
		{"name 'amq.gen-mine' is reserved", "name 'amq.gen-mine' is reserved"},
		{"reply_to=amq.rabbitmq.reply-to.g1h2AA5yZXBseUA1.abc== x", "reply_to=amq.rabbitmq.reply-to.<1> x"},
		{`key="amq.rabbitmq.reply-to.g1h2AA5yZXBseUA1.abc==" x`, "key=amq.rabbitmq.reply-to.<1> x"},
	}
	for _, tt := range tests {
		if got := s.symbolic(tt.in); got != tt.want {
			t.Errorf("symbolic(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestPropertiesKeepOrderAndTypes(t *testing.T) {
	table := func(b string) string { return "\x00\x00\x00" + string(rune(len(b))) + b }
	raw := "\x30\x00" + table("\x01bS\x00\x00\x00\x01x"+"\x01al\x00\x00\x00\x00\x00\x00\x00\x05"+"\x10x-acquired-countl\x00\x00\x00\x00\x00\x00\x00\x01") + "\x02"
	if got, want := propertiesText([]byte(raw), false), " headers={b=S:x, a=l:5} delivery_mode=2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := rawProperties([]byte(raw)), " headers={b=S:x, a=l:5, x-acquired-count=l:1} delivery_mode=2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := rawProperties([]byte("\x20\x00\x00")); !strings.Contains(got, "undecodable") {
		t.Errorf("half a table is %q", got)
	}
}

func TestMethodText(t *testing.T) {
	tests := []struct {
		m    wire.Method
		want string
	}{
		{&wire.QueueDeclare{Queue: "q", Durable: true, Arguments: wire.Table{"x-expires": int32(5)}}, "queue.declare queue=q durable arguments={x-expires=I:5}"},
		{&wire.BasicDeliver{ConsumerTag: "t", DeliveryTag: 1, RoutingKey: "a b"}, `basic.deliver consumer-tag=t delivery-tag=1 exchange="" routing-key="a b"`},
		{&wire.ChannelClose{ReplyCode: 404, ReplyText: "NOT_FOUND", ClassID: 50, MethodID: 10}, `channel.close 404 "NOT_FOUND" (50,10)`},
	}
	for _, tt := range tests {
		if got := methodText(tt.m); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestDeltaIsWhatMayDiffer(t *testing.T) {
	sc := Scenario{Name: "A1/x", Run: func(*S) {}, Source: "somewhere", Delta: `
		- b
		+ x`}
	reference := []string{"a", "b"}
	if why := sc.judge(&reference, []string{"a", "x"}); why != "" {
		t.Errorf("as expected, and refused: %s", why)
	}
	if why := sc.judge(&reference, []string{"a", "b"}); why == "" {
		t.Error("no difference where one is expected is taken")
	}
	if err := sc.Check(); err != nil {
		t.Error(err)
	}
	sc.Source = ""
	if sc.Check() == nil {
		t.Error("a Delta of nobody is taken")
	}
}
