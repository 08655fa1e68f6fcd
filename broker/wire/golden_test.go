package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// golden returns what real clients sent to a recording server, by file:
// testdata/frames/<client>-<version>-<what>.hex, one frame a line.
func golden(t testing.TB) map[string][][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/frames/*.hex")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden frames: %v", err)
	}
	files := make(map[string][][]byte, len(names))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var frames [][]byte
		for line := range strings.Lines(string(text)) {
			b, err := hex.DecodeString(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			frames = append(frames, b)
		}
		files[strings.TrimSuffix(filepath.Base(name), ".hex")] = frames
	}
	return files
}

func TestGoldenFramesComeBack(t *testing.T) {
	for name, frames := range golden(t) {
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, "-protocol-header") {
				if g := ParseGreeting([8]byte(frames[0])); g != GreetingAMQP091 {
					t.Errorf("greeting %q is %v", frames[0], g)
				}
				return
			}
			for _, in := range frames {
				f, err := NewReader(bytes.NewReader(in), 131072-FrameOverhead).ReadFrame()
				if err != nil {
					t.Fatalf("% x: %v", in, err)
				}
				if out := AppendFrame(nil, f.Type, f.Channel, f.Payload); !bytes.Equal(out, in) {
					t.Errorf("frame % x came back as % x", in, out)
				}
				switch f.Type {
				case FrameMethod:
					checkGoldenMethod(t, f, in)
				case FrameHeader:
					checkGoldenHeader(t, f, in)
				}
			}
		})
	}
}

// checkGoldenMethod: a method comes back byte for byte, and one with a table whose
// keys were in another order with the same octets otherwise placed.
func checkGoldenMethod(t *testing.T, f Frame, in []byte) {
	m, err := ParseMethod(f.Payload)
	if err != nil {
		t.Fatalf("% x: %v", in, err)
	}
	out := AppendMethodFrame(nil, f.Channel, m)
	if bytes.Equal(out, in) {
		return
	}
	again, err := ParseMethod(payloadOf(out))
	if !hasTable(m) || len(out) != len(in) || err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("%s % x came back as % x", m.Name(), in, out)
	}
}

// hasTable reports whether a method holds a table that is not empty.
func hasTable(m Method) bool {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Map && f.Len() > 0 {
			return true
		}
	}
	return false
}

// checkGoldenHeader: properties travel untouched, and their values survive a rewrite.
func checkGoldenHeader(t *testing.T, f Frame, in []byte) {
	h, err := ParseHeader(f.Payload)
	if err != nil {
		t.Fatalf("% x: %v", in, err)
	}
	out := AppendContent(nil, f.Channel, 0, h.ClassID, h.Properties, make([]byte, h.BodySize))
	if !bytes.HasPrefix(out, in) {
		t.Errorf("header % x came back as % x", in, out[:len(in)])
	}
	p, err := ParseProperties(h.Properties)
	if err != nil {
		t.Fatal(err)
	}
	rewritten := mustProperties(t, p)
	again, err := ParseProperties(rewritten)
	if err != nil || len(rewritten) != len(h.Properties) || !reflect.DeepEqual(again, p) {
		t.Errorf("properties % x rewritten as % x, %v", h.Properties, rewritten, err)
	}
	if len(p.Headers) < 2 && !bytes.Equal(rewritten, h.Properties) {
		t.Errorf("properties % x rewritten as % x", h.Properties, rewritten)
	}
}

func TestGoldenValues(t *testing.T) {
	files := golden(t)
	declare, err := ParseMethod(payloadOf(files["pika-1.2.0-queue-declare"][0]))
	if err != nil {
		t.Fatal(err)
	}
	d := declare.(*QueueDeclare)
	if d.Queue != "golden.q" || !d.Durable || d.Exclusive || d.Arguments["x-queue-type"] != "quorum" ||
		d.Arguments["x-max-length"] != int64(1)<<40 || !reflect.DeepEqual(d.Arguments["x-dec"], Decimal{Scale: 2, Value: 314}) {
		t.Errorf("pika's queue.declare is %+v", d)
	}
	h, err := ParseHeader(payloadOf(files["amqp091go-1.16.0-publish"][1]))
	if err != nil || h.BodySize != 5 || h.View.DeliveryMode != 2 || h.View.Priority != 9 || string(h.View.Expiration) != "1000" || string(h.View.UserID) != "guest" {
		t.Errorf("amqp091-go's header is %+v, %v", h, err)
	}
	if v, ok := h.View.Header("u32"); !ok || v != uint32(4e9) {
		t.Errorf("its header u32 is %v, %v", v, ok)
	}
	auth, err := ParseMethod(payloadOf(files["pyamqp-5.1.1-start-ok"][0]))
	if err != nil {
		t.Fatal(err)
	}
	if ok := auth.(*ConnectionStartOk); ok.Mechanism != "PLAIN" && ok.Mechanism != "AMQPLAIN" || !bytes.Contains(ok.Response, []byte("guest")) {
		t.Errorf("py-amqp's start-ok is %+v", ok)
	}
}
