package peer

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "github.com/warrenmq/warren/proto"
)

func randomRequest(rng *rand.Rand) *raft.AppendEntriesRequest {
	r := &raft.AppendEntriesRequest{
		Term: rng.Uint64N(1000), PrevLogEntry: rng.Uint64() >> rng.IntN(64), PrevLogTerm: rng.Uint64N(3), LeaderCommitIndex: rng.Uint64() >> rng.IntN(64),
	}
	for range rng.IntN(20) {
		e := &raft.Log{Index: rng.Uint64() >> rng.IntN(64), Term: rng.Uint64N(1000)}
		switch rng.IntN(4) {
		case 0:
			e.Type = raft.LogNoop
		case 1:
			e.Type = raft.LogConfiguration
			e.Data = raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a@1", Address: "a@1"}}})
		default:
			e.Data = make([]byte, 1+rng.IntN(1<<rng.IntN(16)))
			for i := range e.Data {
				e.Data[i] = byte(rng.Uint32())
			}
		}
		if rng.IntN(3) > 0 {
			e.AppendedAt = time.Unix(0, rng.Int64()).UTC()
		}
		if rng.IntN(5) == 0 {
			e.Extensions = []byte("extension")
		}
		r.Entries = append(r.Entries, e)
	}
	return r
}

// travel takes r over the wire in buffers of odd sizes, as gRPC may cut them.
func travel(t testing.TB, rng *rand.Rand, r *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	t.Helper()
	var assembler appendAssembler
	for i, f := range encodeAppend(r) {
		wire := f.MarshalFrame().Materialize()
		var generated pb.RaftAppendChunk
		if err := proto.Unmarshal(wire, &generated); err != nil || len(generated.Data) > chunkBytes || generated.More != f.more {
			t.Fatalf("chunk %d is not what raft.proto says: %v", i, err)
		}
		var buffers mem.BufferSlice
		for len(wire) > 0 {
			k := 1 + rng.IntN(len(wire))
			buffers = append(buffers, mem.SliceBuffer(wire[:k]))
			wire = wire[k:]
		}
		var c appendChunk
		if err := c.UnmarshalFrame(buffers); err != nil {
			t.Fatalf("UnmarshalFrame: %v", err)
		}
		got, err := assembler.add(&c)
		if err != nil {
			t.Fatalf("add: %v", err)
		}
		if (got == nil) != f.more {
			t.Fatalf("chunk %d: more is %v, request is complete: %v", i, f.more, got != nil)
		}
		if got != nil {
			return got
		}
	}
	t.Fatal("the last chunk does not end the request")
	return nil
}

func TestRequestsSurviveTheWire(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	for i := range 500 {
		r := randomRequest(rng)
		if i%100 == 0 {
			r.Entries = append(r.Entries, &raft.Log{Index: 9, Data: bytes.Repeat([]byte{7}, 3*chunkBytes+i)})
		}
		if got := travel(t, rng, r); !reflect.DeepEqual(got, r) {
			t.Fatalf("request %d: %+v came back as %+v", i, r, got)
		}
	}
}

func TestHandWrittenEncodingIsTheGeneratedOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		r := randomRequest(rng)
		var data []byte
		for _, f := range encodeAppend(r) {
			data = append(data, f.pieces.Materialize()...)
		}
		var m pb.RaftAppendRequest
		if err := proto.Unmarshal(data, &m); err != nil {
			t.Fatalf("proto.Unmarshal: %v", err)
		}
		if m.Term != r.Term || m.Commit != r.LeaderCommitIndex || len(m.Entries) != len(r.Entries) {
			t.Fatalf("%+v reads as %v", r, &m)
		}
		for i, e := range m.Entries {
			if want := r.Entries[i]; !bytes.Equal(e.Data, want.Data) || e.Index != want.Index || e.Type != uint32(want.Type) {
				t.Fatalf("entry %+v reads as %v", want, e)
			}
		}
		again, err := proto.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAppend(mem.BufferSlice{mem.SliceBuffer(again)})
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("generated encoding of %+v reads as %+v, %v", r, got, err)
		}
	}
}

func TestSplitRequestsFollowEachOther(t *testing.T) {
	r := &raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 10, PrevLogTerm: 2, LeaderCommitIndex: 9}
	for i := range 40 {
		r.Entries = append(r.Entries, &raft.Log{Index: 11 + uint64(i), Term: 3, Data: make([]byte, 1<<20)})
	}
	r.Entries[7].Data = make([]byte, 20<<20)
	next, term := uint64(11), uint64(2)
	parts := splitAppend(r)
	for _, p := range parts {
		size := 0
		if p.PrevLogEntry != next-1 || p.PrevLogTerm != term || p.Term != 3 || p.LeaderCommitIndex != 9 {
			t.Errorf("a part after entry %d of term %d, want %d of %d", p.PrevLogEntry, p.PrevLogTerm, next-1, term)
		}
		for _, e := range p.Entries {
			if e.Index != next {
				t.Errorf("entry %d, want %d", e.Index, next)
			}
			next, term = e.Index+1, e.Term
			size += len(e.Data)
		}
		if size > requestBytes && len(p.Entries) > 1 {
			t.Errorf("a part of %d entries has %d bytes", len(p.Entries), size)
		}
	}
	if next != 51 || len(r.Entries) != 40 {
		t.Errorf("the parts end before entry %d; the request has %d", next, len(r.Entries))
	}
}

func FuzzAppendChunk(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		for _, frame := range encodeAppend(randomRequest(rng)) {
			f.Add(frame.MarshalFrame().Materialize(), uint16(100))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		k := min(int(cut), len(in))
		var c appendChunk
		if c.UnmarshalFrame(mem.BufferSlice{mem.SliceBuffer(in[:k]), mem.SliceBuffer(in[k:])}) != nil {
			return
		}
		var generated pb.RaftAppendChunk
		if proto.Unmarshal(in, &generated) == nil && !bytes.Equal(generated.Data, c.data.Materialize()) {
			t.Fatalf("% x: data % x, want % x", in, c.data.Materialize(), generated.Data)
		}
		var assembler appendAssembler
		c.more = false
		r, err := assembler.add(&c)
		if err == nil && r == nil {
			t.Fatalf("% x: neither a request nor an error", in)
		}
		if err == nil {
			if again := travel(t, rand.New(rand.NewPCG(5, 6)), r); !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v came back as %+v", r, again)
			}
		}
	})
}
