package meta

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/warrenmq/warren/broker/topology"
	pb "github.com/warrenmq/warren/proto"
)

// someLevel is the highest that random commands speak of.
const someLevel = 3

func randomCommand(rng *rand.Rand, number uint64) *pb.MetaCommand {
	node := func() string { return fmt.Sprintf("n%d@%d", rng.IntN(4), rng.IntN(2)) }
	nodes := func() (ids []string) {
		for range rng.IntN(9) {
			ids = append(ids, node())
		}
		return ids
	}
	processes := func() (list []*pb.MetaProcess) {
		for range rng.IntN(4) {
			list = append(list, &pb.MetaProcess{Id: node(), Epoch: rng.Uint64N(5)})
		}
		return list
	}
	name := fmt.Sprint("x", rng.IntN(5))
	define := func(c topology.Command) *pb.MetaCommand {
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Topology{Topology: topology.EncodeCommand(c)}}
	}
	switch rng.IntN(25) {
	case 0:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Form{Form: &pb.MetaForm{ClusterId: name, Expect: 3, Users: []*pb.MetaUser{{Name: name}}}}}
	case 1, 2:
		id := node()
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Register{Register: &pb.MetaRegister{
			Node: &pb.MetaNode{Id: id, Name: id[:2], Epoch: rng.Uint64N(5), Zone: name, Level: 1 + rng.Uint64N(someLevel)}, Alive: processes()}}}
	case 3:
		c := &pb.MetaEnsureGroups{Node: node(), Size: rng.Uint32N(9)}
		for range rng.IntN(4) {
			c.Sets = append(c.Sets, &pb.MetaReplicas{Ids: nodes()})
		}
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_EnsureGroups{EnsureGroups: c}}
	case 4:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_SetTarget{SetTarget: &pb.MetaSetTarget{Group: rng.Uint64N(6), From: nodes(), Target: nodes(), Preferred: node()}}}
	case 5:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_SetReplicas{SetReplicas: &pb.MetaSetReplicas{Group: rng.Uint64N(6), Replicas: nodes(), Term: rng.Uint64N(3), Index: rng.Uint64N(3)}}}
	case 6:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_PutUser{PutUser: &pb.MetaUser{Name: name, PasswordHash: []byte(name), Tags: []string{"t"}}}}
	case 7:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_DeleteUser{DeleteUser: name}}
	case 8:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_PutPermission{PutPermission: &pb.MetaPermission{User: name, Vhost: "/", Read: name}}}
	case 9:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_DeletePermission{DeletePermission: &pb.MetaPermission{User: name, Vhost: "/"}}}
	case 10:
		return define(topology.DeleteQueue{VHost: "/", Name: name})
	case 11:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_PutTopicPermission{PutTopicPermission: &pb.MetaTopicPermission{User: name, Vhost: "/", Exchange: name, Write: name}}}
	case 12:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_DeleteTopicPermission{DeleteTopicPermission: &pb.MetaTopicPermission{User: name, Vhost: "/", Exchange: []string{"", name}[rng.IntN(2)]}}}
	case 13:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_SetUserLimits{SetUserLimits: &pb.MetaUserLimits{User: name, Limits: map[string]int64{MaxChannels: rng.Int64N(9), MaxConnections: 1}}}}
	case 14:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Overlap{Overlap: &pb.MetaOverlap{Processes: processes()}}}
	case 15:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_End{End: &pb.MetaProcess{Id: node(), Epoch: rng.Uint64N(5)}}}
	case 16:
		return define(topology.DeleteVHost{Name: "/"})
	case 17:
		return define(topology.DeclareVHost{VHost: topology.VHost{Name: "/"}})
	case 18, 19:
		return define(topology.DeclareExchange{Exchange: topology.Exchange{VHost: "/", Name: name, Type: topology.Fanout}})
	case 22:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Forget{Forget: fmt.Sprintf("n3@%d", rng.IntN(2))}}
	case 23:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Maintain{Maintain: &pb.MetaMaintain{
			Process: &pb.MetaProcess{Id: node(), Epoch: rng.Uint64N(5)}, Drained: rng.IntN(2) == 0}}}
	case 24:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Raise{Raise: rng.Uint64N(someLevel + 1)}}
	case 20:
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_Topology{Topology: []byte{0xff, byte(rng.Uint32())}}}
	default:
		home := ""
		if rng.IntN(2) == 0 {
			home = node()
		}
		return define(topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: name, Durable: home == "", Group: 1, Home: home}})
	}
}

func randomEntry(rng *rand.Rand) *pb.MetaEntry {
	e := &pb.MetaEntry{Proposer: "n0@0"}
	for range 1 + rng.IntN(3) {
		b := &pb.MetaBatch{Origin: fmt.Sprintf("n%d@0", rng.IntN(3)), Epoch: 1 + rng.Uint64N(3), Floor: rng.Uint64N(50)}
		for range 1 + rng.IntN(3) {
			b.Commands = append(b.Commands, randomCommand(rng, rng.Uint64N(200)))
		}
		e.Batches = append(e.Batches, b)
	}
	return e
}

// Replicas that apply equal entries are equal, also across snapshots.
func TestReplicasStayEqual(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		a, b := newState(), newState()
		a.known, b.known = someLevel, someLevel
		for i := range uint64(300) {
			encoded, err := encode(randomEntry(rng))
			if err != nil {
				t.Fatal(err)
			}
			var ea, eb pb.MetaEntry
			if err := errors.Join(decode(encoded, &ea), decode(encoded, &eb)); err != nil {
				t.Fatal(err)
			}
			fa, fb := a.apply(i+1, &ea), b.apply(i+1, &eb)
			if !reflect.DeepEqual(texts(fa), texts(fb)) {
				t.Fatalf("seed %d, entry %d: effects differ:\n%+v\n%+v", seed, i, fa, fb)
			}
			if i%37 != 0 {
				continue
			}
			sa, errA := a.snapshot()
			sb, errB := b.snapshot()
			if errA != nil || errB != nil || !bytes.Equal(sa, sb) {
				t.Fatalf("seed %d, entry %d: states differ (%v, %v)", seed, i, errA, errB)
			}
			if b, err = restoreState(sb, someLevel); err != nil {
				t.Fatalf("seed %d, entry %d: %v", seed, i, err)
			}
		}
	}
}

// texts is what can be compared of effects: errors by their texts.
func texts(e effects) (out []string) {
	for _, a := range e.answers {
		out = append(out, fmt.Sprintf("%s/%d/%d: %d %v %v", a.origin, a.epoch, a.number, a.index, a.result.Created, a.err))
	}
	for _, c := range e.changes {
		out = append(out, fmt.Sprintf("%d %s %+v", c.Kind, c.VHost, c.Queue))
	}
	return append(out, fmt.Sprint(e.groups, e.deleted))
}

func TestOriginsRefuseWhatIsOver(t *testing.T) {
	put := func(number uint64, name string) *pb.MetaCommand {
		return &pb.MetaCommand{Number: number, Body: &pb.MetaCommand_PutUser{PutUser: &pb.MetaUser{Name: name}}}
	}
	tests := []struct {
		name    string
		batch   *pb.MetaBatch
		answers int
	}{
		{"a first command", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 5, Commands: []*pb.MetaCommand{put(5, "x")}}, 1},
		{"the same again", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 5, Commands: []*pb.MetaCommand{put(5, "x")}}, 0},
		{"a later one first", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 5, Commands: []*pb.MetaCommand{put(8, "x")}}, 1},
		{"an earlier one after it", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 5, Commands: []*pb.MetaCommand{put(7, "x"), put(8, "x")}}, 1},
		{"one that was given up, late", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 9, Commands: []*pb.MetaCommand{put(6, "x"), put(9, "x")}}, 1},
		{"an old batch with a lower floor", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 5, Commands: []*pb.MetaCommand{put(6, "x")}}, 0},
		{"another origin", &pb.MetaBatch{Origin: "b", Epoch: 1, Floor: 1, Commands: []*pb.MetaCommand{put(5, "x")}}, 1},
		{"the next process", &pb.MetaBatch{Origin: "a", Epoch: 3, Floor: 1, Commands: []*pb.MetaCommand{put(5, "x")}}, 1},
		{"the process before it", &pb.MetaBatch{Origin: "a", Epoch: 2, Floor: 5, Commands: []*pb.MetaCommand{put(77, "x")}}, 0},
	}
	s := newState()
	for i, tt := range tests {
		eff := s.apply(uint64(i+1), &pb.MetaEntry{Batches: []*pb.MetaBatch{tt.batch}})
		if len(eff.answers) != tt.answers {
			t.Errorf("%s: %d commands applied, want %d", tt.name, len(eff.answers), tt.answers)
		}
	}
}

func FuzzRestoreState(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 4))
	s := newState()
	s.known = someLevel
	for i := range uint64(100) {
		s.apply(i+1, randomEntry(rng))
	}
	golden, err := s.snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte{formatVersion})
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := restoreState(in, someLevel)
		if err != nil {
			return
		}
		out, err := s.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		again, err := restoreState(out, someLevel)
		if err != nil {
			t.Fatalf("its own snapshot is refused: %v", err)
		}
		if twice, _ := again.snapshot(); !bytes.Equal(out, twice) {
			t.Fatal("a snapshot of a snapshot differs")
		}
	})
}

// What a peer forwards must not be able to stop the replicas that apply it.
func FuzzForwardedBatch(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 5))
	for range 20 {
		b, err := encode(randomEntry(rng).GetBatches()[0])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var b pb.MetaBatch
		if decode(in, &b) != nil || checkBatch(&b) != nil {
			return
		}
		s := newState()
		s.apply(1, &pb.MetaEntry{Batches: []*pb.MetaBatch{&b}})
		if _, err := s.snapshot(); err != nil {
			t.Fatal(err)
		}
	})
}
