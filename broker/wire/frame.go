package wire

import (
	"encoding/binary"
)

// Frame types.
const (
	FrameMethod    uint8 = 1
	FrameHeader    uint8 = 2
	FrameBody      uint8 = 3
	FrameHeartbeat uint8 = 8
)

// FrameMinSize is the frame-max that every peer accepts.
const FrameMinSize = 4096

// FrameOverhead is what a frame costs beside its payload: header and end octet.
const FrameOverhead = frameHeaderSize + 1

const (
	frameHeaderSize = 7
	frameEnd        = 0xCE
)

// Frame is one frame. Its payload is borrowed from the reader that gave it.
type Frame struct {
	Type    uint8
	Channel uint16
	Payload []byte
}

// AppendFrame appends a whole frame.
func AppendFrame(dst []byte, frameType uint8, channel uint16, payload []byte) []byte {
	dst = append(dst, frameType, byte(channel>>8), byte(channel))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, payload...)
	return append(dst, frameEnd)
}

// AppendHeartbeat appends a heartbeat frame.
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, FrameHeartbeat, 0, 0, 0, 0, 0, 0, frameEnd)
}

// beginFrame appends a frame's header with its size left open; endFrame closes
// the frame that began at start.
func beginFrame(dst []byte, frameType uint8, channel uint16) []byte {
	return append(dst, frameType, byte(channel>>8), byte(channel), 0, 0, 0, 0)
}

func endFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+3:], uint32(len(dst)-start-frameHeaderSize))
	return append(dst, frameEnd)
}
