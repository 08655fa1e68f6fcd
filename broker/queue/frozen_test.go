package queue

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// randomCommand is any change of one of a few queues.
func randomCommand(rng *rand.Rand, seq *uint64) []byte {
	id := ID(1 + rng.IntN(12))
	at := 1 + rng.Uint64N(60)
	ranges := []Range{{First: at, Last: at + rng.Uint64N(5)}}
	switch rng.IntN(14) {
	case 0:
		return EncodeCommands(Configure{Queue: id, Settings: Settings{VHost: "/", Name: "q", DeadLetters: rng.IntN(2) == 0}})
	case 1:
		return EncodeCommands(Forget{Queue: id})
	case 2:
		return EncodeCommands(Seal{Queue: id})
	case 3:
		return EncodeCommands(Unseal{Queue: id})
	case 4:
		return EncodeCommands(Purge{Queue: id, Through: at})
	case 5:
		return EncodeCommands(Mark{Queue: id, Seq: at})
	case 6:
		return EncodeCommands(Requeue{Queue: id, Ranges: ranges})
	case 7:
		return EncodeCommands(Settle{Queue: id, Kind: Reject, Ranges: ranges, Bytes: UnknownBytes})
	case 8:
		return EncodeCommands(DeadLettered{Queue: id, Ranges: ranges})
	case 9:
		return EncodeCommands(Settle{Queue: id, Kind: Ack, Ranges: ranges, Bytes: UnknownBytes}, Held{Queue: id, Messages: at, Bytes: at})
	}
	var b Builder
	for range 1 + rng.IntN(4) {
		b.Add([]ID{id, ID(1 + rng.IntN(12))}, &Message{RoutingKey: "k", Body: make([]byte, rng.IntN(9)), TTL: NoTTL})
	}
	*seq++
	return b.Seal(Session{Incarnation: 1, Epoch: 1}, *seq)
}

func TestFrozenStateIsWhatItWasWhileTheStateGoesOn(t *testing.T) {
	rng := newRand(t)
	s, seq, index := NewState(), uint64(0), uint64(0)
	apply := func() {
		index++
		commands, err := Decode(randomCommand(rng, &seq))
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(Entry{Index: index, AppendedAt: time.Unix(0, int64(index)), Commands: commands})
	}
	for range 300 {
		for range rng.IntN(40) {
			apply()
		}
		want := s.AppendSnapshot(nil)
		f := s.Freeze()
		for more := true; more; {
			for range rng.IntN(6) {
				apply()
			}
			more = f.Encode(1 + rng.IntN(200))
		}
		f.End()
		apply()
		var got []byte
		for part := range f.Parts {
			got = append(got, part...)
		}
		if !bytes.Equal(got, want) || f.Size() != len(want) {
			t.Fatalf("entry %d: a snapshot of %d bytes, want %d", index, len(got), len(want))
		}
	}
	f := s.Freeze()
	f.End()
	if s.frozen != nil {
		t.Error("the state is still frozen")
	}
}
