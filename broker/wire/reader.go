package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	readBufferMin = 4 << 10  // of a new or idle connection
	readBufferMax = 64 << 10 // read ahead on a busy one; a frame that needs more gets more
	quietReads    = 16       // reads of less than a quarter before an empty buffer is halved
	emptyReadsMax = 100      // reads without data or error before the source is given up

	// frameSizeFudge: clients are off by up to a frame's overhead often enough
	// that RabbitMQ lets them be.
	frameSizeFudge = FrameOverhead
)

// Reader reads frames into a buffer of its own, which grows with what really
// arrives and shrinks when little does. It is for one goroutine.
type Reader struct {
	src        io.Reader
	buf        []byte
	start, end int // buf[start:end] has been read and not given out
	payloadMax uint32
	filled     bool // the last read filled the buffer: more is waiting
	quiet      int  // reads in a row that used little of the buffer
}

// NewReader reads frames of at most payloadMax octets of payload from src.
// Nothing is allocated before the first read.
func NewReader(src io.Reader, payloadMax uint32) *Reader {
	return &Reader{src: src, payloadMax: payloadMax}
}

// SetPayloadMax sets the largest payload for the frames to come: frame-max less
// FrameOverhead. It has no value for "no limit".
func (r *Reader) SetPayloadMax(payloadMax uint32) { r.payloadMax = payloadMax }

// Buffered returns how many octets have been read and not given out yet.
func (r *Reader) Buffered() int { return r.end - r.start }

// ReadGreeting reads the eight octets that open a connection.
func (r *Reader) ReadGreeting() (h [8]byte, err error) {
	if err := r.fill(len(h)); err != nil {
		return h, err
	}
	r.start += copy(h[:], r.buf[r.start:])
	return h, nil
}

// ReadFrame reads one frame; its payload is borrowed until the next call.
// io.EOF comes unchanged at a frame's border and as io.ErrUnexpectedEOF inside
// one. After an *Error the stream cannot be followed further.
func (r *Reader) ReadFrame() (Frame, error) {
	if err := r.fill(frameHeaderSize); err != nil {
		return Frame{}, err
	}
	h := r.buf[r.start:]
	f := Frame{Type: h[0], Channel: binary.BigEndian.Uint16(h[1:])}
	size := binary.BigEndian.Uint32(h[3:])
	if uint64(size) > uint64(r.payloadMax)+frameSizeFudge { // before the buffer grows for it
		return Frame{}, frameFault(FrameError, f.Type, nil, fmt.Sprintf("{frame_too_large,%d,%d}", size, r.payloadMax))
	}
	whole := frameHeaderSize + int(size) + 1
	if err := r.fill(whole); err != nil {
		return Frame{}, noEOF(err)
	}
	whole += r.start
	f.Payload = r.buf[r.start+frameHeaderSize : whole-1 : whole-1]
	if end := r.buf[whole-1]; end != frameEnd {
		return Frame{}, frameFault(FrameError, f.Type, f.Payload, fmt.Sprintf("{invalid_frame_end_marker,%d}", end))
	}
	r.start = whole
	return f, f.check()
}

// check refuses what is wrong with a frame whatever the state of its connection.
func (f Frame) check() error {
	switch {
	case f.Type == FrameBody,
		f.Type == FrameMethod && len(f.Payload) >= methodHeaderSize,
		f.Type == FrameHeader && len(f.Payload) >= contentHeaderSize:
		return nil
	case f.Type == FrameHeartbeat && len(f.Payload) == 0:
		if f.Channel != 0 {
			return frameFault(UnexpectedFrame, f.Type, f.Payload, "")
		}
		return nil
	}
	return frameFault(FrameError, f.Type, f.Payload, "unknown_frame")
}

// fill makes at least n octets available from start on.
func (r *Reader) fill(n int) error {
	if r.end-r.start >= n {
		return nil
	}
	r.prepare()
	for empty := 0; r.end-r.start < n; {
		if r.end == len(r.buf) {
			r.makeRoom()
		}
		got, err := r.src.Read(r.buf[r.end:])
		r.end += got
		r.filled = r.end == len(r.buf)
		if r.end <= len(r.buf)/4 {
			r.quiet++
		} else {
			r.quiet = 0
		}
		switch {
		case r.end-r.start >= n: // an error will come again
		case err == io.EOF && r.end > r.start:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case got > 0:
			empty = 0
		default:
			if empty++; empty == emptyReadsMax {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// prepare moves what is left to the front and fits the buffer to the traffic.
func (r *Reader) prepare() {
	size := len(r.buf)
	switch {
	case r.filled && size < readBufferMax:
		size = min(2*size, readBufferMax)
	case r.start == r.end && r.quiet >= quietReads && size > readBufferMin:
		size = max(size/2, readBufferMin)
		r.quiet = 0
	}
	r.move(size)
}

// makeRoom doubles a buffer that is full in the middle of a frame, so that
// memory follows the octets that came and not the size that was announced.
func (r *Reader) makeRoom() { r.move(max(readBufferMin, 2*len(r.buf))) }

// move puts the unread octets at the front of a buffer of the given size.
func (r *Reader) move(size int) {
	to := r.buf
	if size != len(r.buf) {
		to = make([]byte, size)
	}
	r.end = copy(to, r.buf[r.start:r.end])
	r.start, r.buf = 0, to
}

// noEOF: what ends after a frame's header ends inside a frame.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
