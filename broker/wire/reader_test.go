package wire

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(r *Reader) (frames []Frame, err error) {
	for {
		f, err := r.ReadFrame()
		if err != nil {
			return frames, err
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
}

func TestReaderErrors(t *testing.T) { // features A9
	tests := []struct {
		name string
		in   []byte
		code uint16
		text string
	}{
		{"payload beyond the bound", []byte("\x03\x00\x01\x00\x00\x10\x09"), FrameError, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4105,4096}"},
		{"four GiB announced", []byte("\x01\x00\x00\xff\xff\xff\xff"), FrameError, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,4294967295,4096}"},
		{"a protocol header in the stream", []byte(ProtocolHeader), FrameError, "FRAME_ERROR - type 65, all octets = <<>>: {frame_too_large,1342177289,4096}"},
		{"wrong end octet", []byte("\x03\x00\x01\x00\x00\x00\x02hi\x00"), FrameError, `FRAME_ERROR - type 3, all octets = <<"hi">>: {invalid_frame_end_marker,0}`},
		{"unknown type", AppendFrame(nil, 5, 1, []byte{1, 2}), FrameError, "FRAME_ERROR - type 5, all octets = <<1,2>>: unknown_frame"},
		{"unknown type with a long payload", AppendFrame(nil, 4, 1, []byte(strings.Repeat("a", 17))), FrameError, `FRAME_ERROR - type 4, first 16 octets = <<"aaaaaaaaaaaaaaaa">>: unknown_frame`},
		{"method without ids", AppendFrame(nil, FrameMethod, 1, []byte{0, 10, 0}), FrameError, "FRAME_ERROR - type 1, all octets = <<0,10,0>>: unknown_frame"},
		{"header without a body size", AppendFrame(nil, FrameHeader, 1, make([]byte, 11)), FrameError, "FRAME_ERROR - type 2, all octets = <<0,0,0,0,0,0,0,0,0,0,0>>: unknown_frame"},
		{"heartbeat of a channel", AppendFrame(nil, FrameHeartbeat, 1, nil), UnexpectedFrame, "UNEXPECTED_FRAME - type 8, all octets = <<>>"},
		{"heartbeat with a payload", AppendFrame(nil, FrameHeartbeat, 0, []byte{1}), FrameError, "FRAME_ERROR - type 8, all octets = <<1>>: unknown_frame"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewReader(bytes.NewReader(tt.in), 4096).ReadFrame()
			if codeOf(err) != tt.code || err.Error() != tt.text {
				t.Errorf("ReadFrame: %v, want %d %q", err, tt.code, tt.text)
			}
		})
	}
}

func TestReaderReads(t *testing.T) {
	var in []byte
	want := []Frame{
		{FrameMethod, 1, []byte{0, 20, 0, 10, 0}},
		{FrameHeartbeat, 0, nil},
		{FrameBody, 65535, bytes.Repeat([]byte("b"), 100_000)},
		{FrameBody, 2, nil},
		{FrameBody, 3, bytes.Repeat([]byte("c"), 131_072)}, // RabbitMQ's fudge: 8 above frame-max - 8
	}
	for _, f := range want {
		in = AppendFrame(in, f.Type, f.Channel, f.Payload)
	}
	sources := map[string]func() io.Reader{
		"all at once":       func() io.Reader { return bytes.NewReader(in) },
		"octet by octet":    func() io.Reader { return iotest.OneByteReader(bytes.NewReader(in)) },
		"in halves":         func() io.Reader { return iotest.HalfReader(bytes.NewReader(in)) },
		"with data and EOF": func() io.Reader { return iotest.DataErrReader(bytes.NewReader(in)) },
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(NewReader(source(), 131_072-FrameOverhead))
			if err != io.EOF || len(got) != len(want) {
				t.Fatalf("%d frames, %v; want %d and EOF", len(got), err, len(want))
			}
			for i := range want {
				if got[i].Type != want[i].Type || got[i].Channel != want[i].Channel || !bytes.Equal(got[i].Payload, want[i].Payload) {
					t.Errorf("frame %d: type %d, channel %d, %d octets", i, got[i].Type, got[i].Channel, len(got[i].Payload))
				}
			}
		})
	}
}

func TestReaderEnds(t *testing.T) {
	frame := AppendFrame(nil, FrameBody, 1, []byte("body"))
	for n := range frame {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := NewReader(bytes.NewReader(frame[:n]), 4096).ReadFrame(); err != want {
			t.Errorf("after %d octets: %v, want %v", n, err, want)
		}
	}
	if _, err := NewReader(iotest.ErrReader(io.ErrClosedPipe), 4096).ReadFrame(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the source's error comes as %v", err)
	}
	if _, err := NewReader(silent{}, 4096).ReadFrame(); err != io.ErrNoProgress {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestReaderReadsGreetingAndWhatFollows(t *testing.T) {
	r := NewReader(strings.NewReader(ProtocolHeader+string(AppendHeartbeat(nil))), 4096)
	if h, err := r.ReadGreeting(); err != nil || string(h[:]) != ProtocolHeader {
		t.Fatalf("ReadGreeting = %q, %v", h, err)
	}
	if r.Buffered() != 8 {
		t.Errorf("Buffered = %d, want a heartbeat's 8", r.Buffered())
	}
	if f, err := r.ReadFrame(); err != nil || f.Type != FrameHeartbeat {
		t.Errorf("ReadFrame = %v, %v", f, err)
	}
}

func TestReaderAllocatesForWhatCame(t *testing.T) {
	r := NewReader(strings.NewReader("\x03\x00\x01\x3f\xff\xff\xff"+strings.Repeat("x", 1000)), 1<<30)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := r.ReadFrame()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != io.ErrUnexpectedEOF || got > 64<<10 {
		t.Errorf("a frame of 1 GiB that does not come: %v, %d octets allocated", err, got)
	}
}

func TestReaderBufferFollowsTraffic(t *testing.T) {
	body := AppendFrame(nil, FrameBody, 1, bytes.Repeat([]byte("b"), 1000))
	r := NewReader(bytes.NewReader(bytes.Repeat(body, 1000)), 4096)
	if _, err := readAll(r); err != io.EOF {
		t.Fatal(err)
	}
	if len(r.buf) != readBufferMax {
		t.Errorf("buffer of a busy reader: %d, want %d", len(r.buf), readBufferMax)
	}
	r.src = iotest.OneByteReader(bytes.NewReader(bytes.Repeat(AppendHeartbeat(nil), 1000)))
	if _, err := readAll(r); err != io.EOF {
		t.Fatal(err)
	}
	if len(r.buf) != readBufferMin {
		t.Errorf("buffer of a quiet reader: %d, want %d", len(r.buf), readBufferMin)
	}
}
