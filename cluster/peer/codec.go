package peer

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Framed is a message that writes its own protobuf encoding, so that large
// payloads need no copy into one buffer and out of it again. Every other
// message is a generated one.
type Framed interface {
	// MarshalFrame returns the encoding; what it points to must not change until
	// it is sent, which nobody reports.
	MarshalFrame() mem.BufferSlice
	// UnmarshalFrame reads data, which is the caller's: to keep it, take a reference.
	UnmarshalFrame(data mem.BufferSlice) error
}

// codec is gRPC's protobuf codec with a way out for Framed messages.
type codec struct{ generated encoding.CodecV2 }

// Codec is what servers and connections between nodes use.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(Framed); ok {
		return f.MarshalFrame(), nil
	}
	return c.generated.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(Framed); ok {
		if err := f.UnmarshalFrame(data); err != nil {
			return fmt.Errorf("unmarshal %T: %w", v, err)
		}
		return nil
	}
	return c.generated.Unmarshal(data, v)
}

func (codec) Name() string { return proto.Name }
