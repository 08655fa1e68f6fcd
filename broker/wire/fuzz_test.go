package wire

import (
	"bytes"
	"io"
	"reflect"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
)

// seedGolden adds the golden frames, or the payloads of those of one type.
func seedGolden(f *testing.F, frameType uint8) {
	for name, frames := range golden(f) {
		if strings.HasSuffix(name, "-protocol-header") {
			continue
		}
		if frameType == 0 {
			f.Add(slices.Concat(frames...))
			continue
		}
		for _, frame := range frames {
			if frame[0] == frameType {
				f.Add(payloadOf(frame))
			}
		}
	}
}

// allocated is how many octets the process has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// frugal runs f and fails when it allocates more than 4 times the input and 64 KiB.
// Other goroutines of the process count too: what is too much is tried again.
func frugal(t *testing.T, input int, f func()) {
	t.Helper()
	limit := uint64(4*input + 64<<10)
	var spent uint64
	for range 3 {
		before := allocated()
		f()
		if spent = allocated() - before; spent <= limit {
			return
		}
	}
	t.Fatalf("%d octets of input cost %d of memory, at most %d are allowed", input, spent, limit)
}

func FuzzReader(f *testing.F) {
	seedGolden(f, 0)
	f.Add([]byte(ProtocolHeader))
	f.Add([]byte("\x01\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		frugal(t, len(in), func() {
			r := NewReader(bytes.NewReader(in), 1<<30)
			for err := error(nil); err == nil; {
				_, err = r.ReadFrame()
			}
		})
		frames, err := readAll(NewReader(bytes.NewReader(in), 4096))
		var out []byte
		for _, fr := range frames {
			if len(fr.Payload) > 4096+frameSizeFudge {
				t.Fatalf("a payload of %d octets", len(fr.Payload))
			}
			out = AppendFrame(out, fr.Type, fr.Channel, fr.Payload)
		}
		if !bytes.HasPrefix(in, out) || (err == io.EOF && len(out) != len(in)) {
			t.Fatalf("% x came back as % x, %v", in, out, err)
		}
	})
}

func FuzzParseMethod(f *testing.F) {
	seedGolden(f, FrameMethod)
	for _, m := range allMethods() {
		f.Add(payloadOf(AppendMethodFrame(nil, 1, m)))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var m Method
		var err error
		frugal(t, len(in), func() { m, err = ParseMethod(in) })
		if err != nil {
			if codeOf(err) == 0 || m != nil {
				t.Fatalf("% x: %v, %v", in, m, err)
			}
			return
		}
		out := payloadOf(AppendMethodFrame(nil, 1, m))
		again, err := ParseMethod(out)
		if err != nil {
			t.Fatalf("% x was written as % x: %v", in, out, err)
		}
		if back := payloadOf(AppendMethodFrame(nil, 1, again)); !bytes.Equal(back, out) || len(out) > len(in) {
			t.Fatalf("% x was written as % x, then as % x", in, out, back)
		}
		if publish, ok := m.(*BasicPublish); ok {
			var hot BasicPublish
			if err := hot.Decode(in, new(Interner)); err != nil || hot != *publish {
				t.Fatalf("% x is %+v, and %+v, %v", in, publish, hot, err)
			}
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add(mustTable(f, fullProperties.Headers))
	f.Add(mustTable(f, nested(TableDepthMax/2-1)))
	f.Add(rawNested(TableDepthMax + 1))
	for _, frames := range golden(f) {
		for _, frame := range frames {
			if frame[0] == FrameHeader {
				h, _ := ParseHeader(payloadOf(frame))
				f.Add(h.View.Headers)
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var table Table
		var err error
		frugal(t, len(in), func() { table, err = ParseTable(in) })
		LookupTable(in, "x-death")
		if err != nil {
			return
		}
		out, err := AppendTable(nil, table)
		if err != nil {
			t.Fatalf("% x is %v: %v", in, table, err)
		}
		again, err := ParseTable(out)
		if err != nil {
			t.Fatalf("% x was written as % x: %v", in, out, err)
		}
		if back := mustTable(t, again); !bytes.Equal(back, out) { // octets, not values: NaN is not itself
			t.Fatalf("% x was written as % x, then as % x", in, out, back)
		}
		for key := range table {
			if _, ok := LookupTable(in, key); !ok {
				t.Fatalf("% x: %q is not found", in, key)
			}
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	seedGolden(f, FrameHeader)
	f.Add(payloadOf(AppendContent(nil, 1, 0, ClassBasic, mustProperties(f, fullProperties), nil)))
	f.Fuzz(func(t *testing.T, in []byte) {
		var h ContentHeader
		var err error
		frugal(t, len(in), func() { h, err = ParseHeader(in) })
		if err != nil {
			if codeOf(err) == 0 {
				t.Fatalf("% x: %v", in, err)
			}
			return
		}
		if h.BodySize < 1<<16 {
			out := AppendContent(nil, 1, 0, h.ClassID, h.Properties, make([]byte, h.BodySize))
			if !bytes.HasPrefix(out[frameHeaderSize:], in) {
				t.Fatalf("% x came back as % x", in, out)
			}
		}
		var p Properties
		frugal(t, len(in), func() { p, err = ParseProperties(h.Properties) })
		if err != nil { // headers that are sound but too much for memory
			return
		}
		again, err := ParseProperties(mustProperties(t, p))
		if err != nil || again.Present != p.Present || !reflect.DeepEqual(mustProperties(t, again), mustProperties(t, p)) {
			t.Fatalf("% x is %+v, rewritten %+v, %v", in, p, again, err)
		}
	})
}
