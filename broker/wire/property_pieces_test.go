package wire

import (
	"bytes"
	"testing"
)

func TestHeadersChangeInTheirPlaces(t *testing.T) {
	raw := append([]byte{0xb1, 0x80, 1, 't'}, // content type, headers, delivery mode, expiration, message id
		0, 0, 0, 16, 1, 'z', 'S', 0, 0, 0, 1, 'x', 1, 'b', 't', 7, 1, 'a', 'V', 0, 'V')
	raw[7] = byte(len(raw) - 8)
	raw = append(raw, 2, 2, '4', '2', 2, 'i', 'd')
	p, err := SplitProperties(raw)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := p.Join(nil); err != nil || !bytes.Equal(same, raw) {
		t.Fatalf("% x, %v; want % x", same, err, raw)
	}
	p.SetHeader("b", []byte{'t', 0})
	p.SetHeader("n", []byte{'V'})
	p.DropHeader("z")
	want := append([]byte{0xb1, 0x80, 1, 't'}, 0, 0, 0, 12, 1, 'b', 't', 0, 1, 'a', 'V', 0, 'V', 1, 'n', 'V', 2, 2, '4', '2', 2, 'i', 'd')
	if got, err := p.Join(nil); err != nil || !bytes.Equal(got, want) {
		t.Errorf("% x, %v; want % x", got, err, want)
	}
}

func TestReplyToChangesInItsPlace(t *testing.T) {
	raw := []byte{0x07, 0x80, 1, 'c', 1, 'r', 1, '9', 1, 'i'} // correlation id, reply-to, expiration, message id
	p, err := SplitProperties(raw)
	if err != nil {
		t.Fatal(err)
	}
	p.ReplyTo = []byte("\x05there")
	want := []byte("\x07\x80\x01c\x05there\x019\x01i")
	if got, err := p.Join(nil); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func FuzzSplitProperties(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte{0x20, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := SplitProperties(raw)
		if err != nil {
			return
		}
		if same, err := p.Join(nil); err != nil || !bytes.Equal(same, raw) {
			t.Fatalf("% x came back as % x, %v", raw, same, err)
		}
	})
}
