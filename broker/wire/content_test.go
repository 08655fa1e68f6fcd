package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var fullProperties = Properties{
	Present:         allProperties,
	ContentType:     "text/plain",
	ContentEncoding: "gzip",
	Headers:         Table{"CC": []any{"a"}, "n": int64(1)},
	DeliveryMode:    2,
	Priority:        9,
	CorrelationID:   "corr",
	ReplyTo:         "amq.rabbitmq.reply-to",
	Expiration:      "60000",
	MessageID:       "id",
	Timestamp:       time.Unix(1700000000, 0).UTC(),
	Type:            "type",
	UserID:          "guest",
	AppID:           "app",
	ClusterID:       "cluster",
}

// only returns p reduced to the properties of flags.
func only(p Properties, flags PropertyFlags) Properties {
	out := Properties{Present: flags}
	for flag := HasContentType; flag >= HasClusterID; flag >>= 1 {
		switch {
		case flags&flag == 0:
		case flag == HasHeaders:
			out.Headers = p.Headers
		case flag == HasDeliveryMode:
			out.DeliveryMode = p.DeliveryMode
		case flag == HasPriority:
			out.Priority = p.Priority
		case flag == HasTimestamp:
			out.Timestamp = p.Timestamp
		default:
			*out.shortString(flag) = *p.shortString(flag)
		}
	}
	return out
}

func TestPropertiesInEveryCombination(t *testing.T) {
	for bits := range 1 << 14 {
		want := only(fullProperties, PropertyFlags(bits<<2))
		raw := mustProperties(t, want)
		got, err := ParseProperties(raw)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v came back as %+v, %v", want, got, err)
		}
		v, err := ViewProperties(raw)
		if err != nil || v.Present != want.Present || v.DeliveryMode != want.DeliveryMode || v.Priority != want.Priority ||
			string(v.ReplyTo) != want.ReplyTo || string(v.Expiration) != want.Expiration || string(v.UserID) != want.UserID {
			t.Fatalf("%+v is viewed as %+v, %v", want, v, err)
		}
		if headers, err := v.HeaderTable(); err != nil || !reflect.DeepEqual(headers, want.Headers) {
			t.Fatalf("headers %v, %v; want %v", headers, err, want.Headers)
		}
		want.Present = 0 // values alone set the same flags
		if again := mustProperties(t, want); !bytes.Equal(again, raw) {
			t.Fatalf("without flags: %x, want %x", again, raw)
		}
	}
}

func TestPropertiesThatAreEmptyStay(t *testing.T) {
	want := Properties{Present: HasContentType | HasHeaders | HasPriority | HasTimestamp | HasUserID, Timestamp: time.Unix(0, 0).UTC()}
	raw := mustProperties(t, want)
	if got, err := ParseProperties(raw); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v came back as %+v, %v", want, got, err)
	}
}

func TestPropertiesRefused(t *testing.T) {
	full := mustProperties(t, fullProperties)
	for n := range full {
		if _, err := ParseProperties(full[:n]); codeOf(err) != FrameError {
			t.Errorf("cut after %d octets: %v", n, err)
		}
	}
	tests := []struct {
		name string
		raw  []byte
	}{
		{"octets left over", append(bytes.Clone(full), 0)},
		{"a second word of flags", []byte{0, 1, 0, 0}},
		{"a flag of no property", []byte{0, 2, 0}},
		{"headers of an unknown type", []byte("\x20\x00\x00\x00\x00\x03\x01kz")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ViewProperties(tt.raw); codeOf(err) != FrameError {
				t.Errorf("ViewProperties: %v", err)
			}
		})
	}
	for _, p := range []Properties{{UserID: strings.Repeat("u", 256)}, {Headers: Table{"k": 1}}} {
		if raw, err := p.Append(nil); err == nil || raw != nil {
			t.Errorf("%+v.Append = %x, %v; want an error", p, raw, err)
		}
	}
}

func TestViewHeader(t *testing.T) {
	v, err := ViewProperties(mustProperties(t, fullProperties))
	if err != nil {
		t.Fatal(err)
	}
	if cc, ok := v.Header("CC"); !ok || !reflect.DeepEqual(cc, []any{"a"}) {
		t.Errorf("CC = %v, %v", cc, ok)
	}
	if _, ok := v.Header("BCC"); ok {
		t.Error("a header that is not there is found")
	}
}

func TestParseHeaderErrors(t *testing.T) { // features A9
	header := func(class, weight uint16, size uint64) []byte {
		return appendShort(appendLonglong(appendShort(appendShort(nil, class), weight), size), 0)
	}
	tests := []struct {
		name    string
		payload []byte
		code    uint16
		text    string
	}{
		{"body of 512 MiB", header(60, 0, 512<<20), 0, ""},
		{"body beyond 512 MiB", header(60, 0, 512<<20+1), FrameError, "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912"},
		{"weight", header(60, 1, 0), UnexpectedFrame, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"},
		{"other class", header(50, 0, 0), UnexpectedFrame, "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead"},
		{"no properties", header(60, 0, 0)[:12], FrameError, "FRAME_ERROR - malformed content properties: ends too early"},
		{"nothing", nil, FrameError, "FRAME_ERROR - type 2, all octets = <<>>: unknown_frame"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseHeader(tt.payload)
			if codeOf(err) != tt.code || (err != nil && err.Error() != tt.text) {
				t.Errorf("ParseHeader: %v, want %d %q", err, tt.code, tt.text)
			}
		})
	}
}

func TestAppendContent(t *testing.T) {
	raw := mustProperties(t, fullProperties)
	tests := []struct {
		body     int
		frameMax uint32
		frames   []int // body frames' payloads
	}{
		{0, 8192, nil},
		{1, 8192, []int{1}},
		{8184, 8192, []int{8184}},
		{8185, 8192, []int{8184, 1}},
		{20000, 8192, []int{8184, 8184, 3632}},
		{200_000, 0, []int{200_000}},
		{5000, 1, []int{4088, 912}}, // no peer has less than 4096
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d octets at frame-max %d", tt.body, tt.frameMax), func(t *testing.T) {
			body := bytes.Repeat([]byte("0123456789"), tt.body/10+1)[:tt.body]
			out := AppendContent([]byte("x"), 4, tt.frameMax, ClassBasic, raw, body)
			frames, err := readAll(NewReader(bytes.NewReader(out[1:]), 1<<20))
			if len(frames) != 1+len(tt.frames) {
				t.Fatalf("%d frames, %v; want %d", len(frames), err, 1+len(tt.frames))
			}
			h, err := ParseHeader(frames[0].Payload)
			if err != nil || h.ClassID != ClassBasic || h.BodySize != uint64(tt.body) || !bytes.Equal(h.Properties, raw) {
				t.Errorf("header %+v, %v", h, err)
			}
			var joined []byte
			for i, f := range frames[1:] {
				if f.Type != FrameBody || f.Channel != 4 || len(f.Payload) != tt.frames[i] {
					t.Errorf("body frame %d: type %d, channel %d, %d octets; want %d", i, f.Type, f.Channel, len(f.Payload), tt.frames[i])
				}
				joined = append(joined, f.Payload...)
			}
			if !bytes.Equal(joined, body) {
				t.Error("the body came back different")
			}
		})
	}
}
