package wire

import (
	"bytes"
	"io"
	"testing"
)

// loop gives the same octets again and again.
type loop struct {
	data []byte
	pos  int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.data[l.pos:])
	l.pos = (l.pos + n) % len(l.data)
	return n, nil
}

// published is a message as clients publish it: method, header and body frame.
func published(t testing.TB, p Properties, body int) []byte {
	b := AppendMethodFrame(nil, 1, &BasicPublish{Exchange: "amq.topic", RoutingKey: "orders.created.eu"})
	return AppendContent(b, 1, 131072, ClassBasic, mustProperties(t, p), make([]byte, body))
}

func payloadOf(frame []byte) []byte { return frame[frameHeaderSize : len(frame)-1] }

var persistent = Properties{ContentType: "application/json", DeliveryMode: 2}

// noAllocs fails the test when f allocates once it has run.
func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	f()
	if n := testing.AllocsPerRun(200, f); n != 0 {
		t.Errorf("%s allocates %v times", name, n)
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	data := bytes.Repeat(published(t, fullProperties, 1000), 100)
	r := NewReader(&loop{data: data}, 131064)
	in, publish, header := new(Interner), new(BasicPublish), new(ContentHeader)
	for range 1000 { // until the buffer has grown
		readPublished(t, r, in, publish, header)
	}
	noAllocs(t, "reading a publish", func() { readPublished(t, r, in, publish, header) })

	ack, ackPayload := new(BasicAck), payloadOf(AppendAck(nil, 1, 77, true))
	noAllocs(t, "decoding an ack", func() {
		if err := ack.Decode(ackPayload); err != nil {
			t.Fatal(err)
		}
	})
	dst, raw, body := make([]byte, 0, 8192), mustProperties(t, fullProperties), make([]byte, 1000)
	noAllocs(t, "appending a delivery", func() {
		dst = AppendDeliver(dst[:0], 1, "ctag", 5, false, "amq.topic", "orders.created.eu")
		dst = AppendContent(dst, 1, 131072, ClassBasic, raw, body)
	})
	noAllocs(t, "appending a confirm", func() { dst = AppendAck(dst[:0], 1, 5, true) })
}

// readPublished reads the three frames of a publish.
func readPublished(t testing.TB, r *Reader, in *Interner, publish *BasicPublish, header *ContentHeader) {
	f, err := r.ReadFrame()
	if err == nil && PeekMethod(f.Payload) == KeyBasicPublish {
		err = publish.Decode(f.Payload, in)
	}
	if err != nil {
		t.Fatal(err)
	}
	if f, err = r.ReadFrame(); err == nil {
		err = header.Parse(f.Payload)
	}
	if err != nil {
		t.Fatal(err)
	}
	if header.BodySize > 0 {
		if _, err = r.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkReadPublish(b *testing.B) {
	for _, bb := range []struct {
		name  string
		props Properties
		body  int
	}{
		{"16B", persistent, 16},
		{"1KiB", persistent, 1024},
		{"1KiB-all-properties", fullProperties, 1024},
		{"64KiB", persistent, 64 << 10},
	} {
		b.Run(bb.name, func(b *testing.B) {
			one := published(b, bb.props, bb.body)
			r := NewReader(&loop{data: bytes.Repeat(one, 100)}, 131064)
			in, publish, header := new(Interner), new(BasicPublish), new(ContentHeader)
			b.SetBytes(int64(len(one)))
			b.ReportAllocs()
			for b.Loop() {
				readPublished(b, r, in, publish, header)
			}
		})
	}
}

func BenchmarkDecodePublish(b *testing.B) {
	payload := payloadOf(AppendMethodFrame(nil, 1, &BasicPublish{Exchange: "amq.topic", RoutingKey: "orders.created.eu"}))
	in, m := new(Interner), new(BasicPublish)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Decode(payload, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAck(b *testing.B) {
	payload, m := payloadOf(AppendAck(nil, 1, 77, true)), new(BasicAck)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Decode(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	for _, bb := range []struct {
		name  string
		props Properties
	}{{"persistent", persistent}, {"all", fullProperties}} {
		b.Run(bb.name, func(b *testing.B) {
			frame := AppendContent(nil, 1, 0, ClassBasic, mustProperties(b, bb.props), nil)
			payload, h := payloadOf(frame), new(ContentHeader)
			b.ReportAllocs()
			for b.Loop() {
				if err := h.Parse(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendDelivery(b *testing.B) {
	for _, bb := range []struct {
		name string
		body int
	}{{"16B", 16}, {"1KiB", 1024}, {"256KiB", 256 << 10}} {
		b.Run(bb.name, func(b *testing.B) {
			raw, body := mustProperties(b, persistent), make([]byte, bb.body)
			var dst []byte
			b.SetBytes(int64(bb.body))
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendDeliver(dst[:0], 1, "amq.ctag-5", 77, false, "amq.topic", "orders.created.eu")
				dst = AppendContent(dst, 1, 131072, ClassBasic, raw, body)
			}
			_, _ = io.Discard.Write(dst)
		})
	}
}

func BenchmarkParseTable(b *testing.B) {
	raw := mustTable(b, Table{"CC": []any{"a", "b"}, "n": int64(1), "trace": "0123456789abcdef", "flag": true})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTable(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookupTable(b *testing.B) {
	raw := mustTable(b, Table{"CC": []any{"a", "b"}, "n": int64(1), "trace": "0123456789abcdef", "flag": true})
	b.ReportAllocs()
	for b.Loop() {
		LookupTable(raw, "BCC")
	}
}
