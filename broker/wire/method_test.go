package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// allMethods returns an empty one of each method.
func allMethods() []Method {
	var all []Method
	for class := MethodKey(0); class <= 100; class++ {
		for method := MethodKey(0); method <= 130; method++ {
			if m := newMethod(class<<16 | method); m != nil {
				all = append(all, m)
			}
		}
	}
	return all
}

// fillRandom sets all fields of a method.
func fillRandom(rng *rand.Rand, m Method) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(rng.IntN(2) == 1)
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			f.SetUint(rng.Uint64() >> (64 - 8*f.Type().Size()))
		case reflect.String:
			f.SetString(strings.Repeat("é", rng.IntN(128)))
		case reflect.Slice:
			f.SetBytes(bytes.Repeat([]byte{0xff, 0}, rng.IntN(300)))
		case reflect.Map:
			if n := rng.IntN(3); n > 0 {
				f.Set(reflect.ValueOf(Table{"n": int64(n), "x": []any{"y", time.Unix(int64(n), 0).UTC()}}))
			}
		}
	}
}

func TestMethodsComeBack(t *testing.T) {
	all := allMethods()
	if len(all) != 66 {
		t.Errorf("%d methods, want 66: the 64 of the extended specification, access.request and its answer", len(all))
	}
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed))
	for _, m := range all {
		for range 50 {
			fillRandom(rng, m)
			frame := AppendMethodFrame(nil, 9, m)
			f, err := NewReader(bytes.NewReader(frame), 1<<20).ReadFrame()
			if err != nil || f.Type != FrameMethod || f.Channel != 9 {
				t.Fatalf("%s: frame %+v, %v", m.Name(), f, err)
			}
			back, err := ParseMethod(f.Payload)
			if err != nil || !reflect.DeepEqual(back, m) {
				t.Fatalf("%s, seed %d: %+v came back as %+v, %v", m.Name(), seed, m, back, err)
			}
		}
	}
}

func TestMethodsKnowThemselves(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range allMethods() {
		class, method := m.ID()
		key := MethodKey(uint32(class)<<16 | uint32(method))
		if reflect.TypeOf(newMethod(key)) != reflect.TypeOf(m) || seen[m.Name()] {
			t.Errorf("%s is %d, %d", m.Name(), class, method)
		}
		seen[m.Name()] = true
	}
	for _, name := range []string{ // RabbitMQ's extensions
		"basic.nack", "confirm.select", "confirm.select-ok", "exchange.bind", "exchange.bind-ok", "exchange.unbind",
		"exchange.unbind-ok", "connection.blocked", "connection.unblocked", "connection.update-secret",
		"connection.update-secret-ok", "basic.cancel", "basic.cancel-ok", "access.request", "access.request-ok",
	} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if c, m := (&ExchangeUnbindOk{}).ID(); c != 40 || m != 51 {
		t.Errorf("exchange.unbind-ok is %d, %d; RabbitMQ's is 40, 51", c, m)
	}
}

func TestParseMethodErrors(t *testing.T) { // features A10
	publish := AppendMethodFrame(nil, 1, &BasicPublish{Exchange: "e", RoutingKey: "k"})
	publish = publish[frameHeaderSize : len(publish)-1]
	tests := []struct {
		name    string
		payload []byte
		code    uint16
		text    string
	}{
		{"fields that end too early", publish[:len(publish)-1], FrameError, "FRAME_ERROR - cannot decode <<0,0,1,101,1,107>>"},
		{"octets left over", append(bytes.Clone(publish), 7), FrameError, "FRAME_ERROR - cannot decode <<0,0,1,101,1,107,0,7>>"},
		{"a table that is none", []byte("\x00\x0a\x00\x0b\x00\x00\x00\x01z"), FrameError, "FRAME_ERROR - cannot decode <<0,0,0,1,122>>"},
		{"a short string that is no UTF-8", []byte("\x00\x3c\x00\x15\x01\xff"), FrameError, "FRAME_ERROR - Malformed UTF-8 in shortstr"},
		{"unknown method", []byte{0, 60, 3, 231}, CommandInvalid, "COMMAND_INVALID - unknown method {60,999}"},
		{"unknown class", []byte{0, 11, 0, 10}, CommandInvalid, "COMMAND_INVALID - unknown method {11,10}"},
		{"no ids", []byte{0, 60}, CommandInvalid, "COMMAND_INVALID - unknown method {0,0}"},
		{"a longer text is cut", append([]byte{0, 60, 0, 40}, bytes.Repeat([]byte{200}, 1000)...), FrameError, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParseMethod(tt.payload)
			e, ok := errors.AsType[*Error](err)
			if !ok || m != nil || e.Code != tt.code || len(e.ReplyText()) > 255 || (tt.text != "" && e.ReplyText() != tt.text) {
				t.Fatalf("ParseMethod(% x) = %v, %v; want %d %q", tt.payload, m, err, tt.code, tt.text)
			}
			if len(tt.payload) >= 4 && uint32(e.ClassID)<<16|uint32(e.MethodID) != uint32(PeekMethod(tt.payload)) {
				t.Errorf("the error names method %d, %d", e.ClassID, e.MethodID)
			}
		})
	}
}

func TestAppendMethodFrameNeverBreaksAFrame(t *testing.T) {
	m := &QueueDeclare{Queue: strings.Repeat("q", 300), Arguments: Table{"k": struct{}{}}}
	frame := AppendMethodFrame([]byte("before"), 1, m)
	f, err := NewReader(bytes.NewReader(frame[len("before"):]), 4096).ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseMethod(f.Payload)
	want := &QueueDeclare{Queue: strings.Repeat("q", 255)}
	if err != nil || !reflect.DeepEqual(back, want) {
		t.Errorf("came back as %+v, %v", back, err)
	}
}

func TestHotMethodsAreTheGeneratedOnes(t *testing.T) {
	deliver := &BasicDeliver{ConsumerTag: "ctag", DeliveryTag: 1 << 40, Redelivered: true, Exchange: "e", RoutingKey: "k"}
	tests := []struct {
		name      string
		got, want []byte
	}{
		{"deliver", AppendDeliver(nil, 3, "ctag", 1<<40, true, "e", "k"), AppendMethodFrame(nil, 3, deliver)},
		{"ack", AppendAck(nil, 3, 5, true), AppendMethodFrame(nil, 3, &BasicAck{DeliveryTag: 5, Multiple: true})},
		{"nack", AppendNack(nil, 3, 5, false), AppendMethodFrame(nil, 3, &BasicNack{DeliveryTag: 5})},
	}
	for _, tt := range tests {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, tt.got, tt.want)
		}
	}
	if err := new(BasicAck).Decode(tests[0].want[frameHeaderSize:]); codeOf(err) != FrameError {
		t.Errorf("basic.deliver decodes as basic.ack: %v", err)
	}
}

func TestDecodeReusesItsStruct(t *testing.T) {
	in := new(Interner)
	var got BasicPublish
	for _, want := range []BasicPublish{
		{Exchange: "amq.topic", RoutingKey: "a.b.c", Mandatory: true, Immediate: true, Reserved1: 5},
		{RoutingKey: "queue"},
		{Exchange: "amq.topic"},
	} {
		frame := AppendMethodFrame(nil, 1, &want)
		if err := got.Decode(frame[frameHeaderSize:len(frame)-1], in); err != nil || got != want {
			t.Errorf("Decode = %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestInterner(t *testing.T) {
	in := new(Interner)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 10_000 { // far more strings than slots: all must come back right
		b := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(300))
		want := string(b)
		got := in.String(b)
		for i := range b {
			b[i]++
		}
		if got != want {
			t.Fatalf("String = %q, want %q", got, want)
		}
	}
	key := []byte("orders.created.eu")
	in.String(key)
	if n := testing.AllocsPerRun(100, func() { in.String(key) }); n != 0 {
		t.Errorf("a string seen before allocates %v times", n)
	}
}
