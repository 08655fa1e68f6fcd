package queue

import (
	"encoding/binary"
	"fmt"

	"github.com/warrenmq/warren/broker/level"
)

// A control batch is version, kind = 2, count u32, and so many commands. Widths are fixed
// where a command opens, so that no command takes more than four times its encoding in memory,
// but for configure, which takes sixteen times as much at most:
//
//	settle    1, queue u64, kind u8, bytes u64, ranges
//	requeue   2, queue u64, flags u32 (1: failed), ranges
//	configure 3, queue u64, settings
//	seal      4, queue u64, flags u32 (1: if empty), ranges
//	forget    5, queue u64
//	purge     6, queue u64, through u64, ranges
//	mark      7, queue u64, seq u64, term u64
//	unseal    8, queue u64
//	dead-lettered 9, queue u64, ranges
//	held      10, queue u64, messages u64, bytes u64
//	level     11, level u64
//
// Ranges are a count u32 and for each range gap u16, extent u16: First less the Last before
// it, and Last less First. What does not fit stands behind a gap of 0xffff as First u64, Last u64.
const (
	tagSettle = iota + 1
	tagRequeue
	tagConfigure
	tagSeal
	tagForget
	tagPurge
	tagMark
	tagUnseal
	tagDeadLettered
	tagHeld
	tagLevel

	commandBytes = 1 + 8 // the least
	rangeBytes   = 4
	farGap       = 0xffff

	ifEmpty  = 1 // seal
	asFailed = 1 // requeue
)

// EncodeCommands makes a control batch. A Publish cannot be in it: Builder makes those.
func EncodeCommands(cs ...Command) []byte {
	dst := make([]byte, 0, 6+48*len(cs))
	dst = append(dst, batchVersion, kindControl)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(cs)))
	for _, c := range cs {
		dst = appendCommand(dst, c)
	}
	return dst
}

func appendCommand(dst []byte, c Command) []byte {
	switch c := c.(type) {
	case Settle:
		dst = append(appendTag(dst, tagSettle, c.Queue), byte(c.Kind))
		dst = binary.LittleEndian.AppendUint64(dst, c.Bytes)
		return appendRanges(dst, c.Ranges)
	case Requeue:
		dst = appendFlags(appendTag(dst, tagRequeue, c.Queue), c.Failed, asFailed)
		return appendRanges(dst, c.Ranges)
	case DeadLettered:
		return appendRanges(appendTag(dst, tagDeadLettered, c.Queue), c.Ranges)
	case Held:
		dst = binary.LittleEndian.AppendUint64(appendTag(dst, tagHeld, c.Queue), c.Messages)
		return binary.LittleEndian.AppendUint64(dst, c.Bytes)
	case Configure:
		return c.Settings.append(appendTag(dst, tagConfigure, c.Queue))
	case Seal:
		dst = appendFlags(appendTag(dst, tagSeal, c.Queue), c.IfEmpty, ifEmpty)
		return appendRanges(dst, c.Held)
	case Forget:
		return appendTag(dst, tagForget, c.Queue)
	case Purge:
		dst = binary.LittleEndian.AppendUint64(appendTag(dst, tagPurge, c.Queue), c.Through)
		return appendRanges(dst, c.Keep)
	case Mark:
		dst = binary.LittleEndian.AppendUint64(appendTag(dst, tagMark, c.Queue), c.Seq)
		return binary.LittleEndian.AppendUint64(dst, c.Term)
	case Unseal:
		return appendTag(dst, tagUnseal, c.Queue)
	case Level:
		return appendTag(dst, tagLevel, ID(c.Level))
	default:
		panic(fmt.Sprintf("queue: %T in a control batch", c))
	}
}

func appendTag(dst []byte, tag byte, q ID) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, tag), uint64(q))
}

// appendFlags writes flags, of which each command has one so far.
func appendFlags(dst []byte, set bool, flag uint32) []byte {
	if !set {
		flag = 0
	}
	return binary.LittleEndian.AppendUint32(dst, flag)
}

func (r *reader) flag(flag uint32) bool {
	flags := r.u32()
	if flags&^flag != 0 {
		r.fail()
	}
	return flags == flag
}

func appendRanges(dst []byte, rs []Range) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(rs)))
	last := uint64(0)
	for _, r := range rs {
		gap, extent := r.First-last, r.Last-r.First // both wrap for ranges in disorder, and are far then
		if gap < farGap && extent <= 0xffff {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(gap))
			dst = binary.LittleEndian.AppendUint16(dst, uint16(extent))
		} else {
			dst = binary.LittleEndian.AppendUint16(dst, farGap)
			dst = binary.LittleEndian.AppendUint64(dst, r.First)
			dst = binary.LittleEndian.AppendUint64(dst, r.Last)
		}
		last = r.Last
	}
	return dst
}

func (r *reader) ranges() []Range {
	n := r.count32(rangeBytes)
	if n == 0 {
		return nil
	}
	rs := make([]Range, n)
	last := uint64(0)
	for i := range rs {
		if gap := r.u16(); gap < farGap {
			first := last + uint64(gap)
			rs[i] = Range{first, first + uint64(r.u16())}
		} else {
			rs[i] = Range{r.u64(), r.u64()}
			if rs[i].First-last < farGap && rs[i].Last-rs[i].First <= 0xffff {
				r.fail() // it has a shorter encoding
			}
		}
		last = rs[i].Last
	}
	return rs
}

// Decode reads a batch. A publish batch gives one Publish, which reads more of the batch when it
// is applied. Nothing else of the result points into batch. A batch that turns a level on that this
// build does not know is level.ErrUnknown.
func Decode(batch []byte) ([]Command, error) {
	kind, err := kindOf(batch)
	switch {
	case err != nil:
		return nil, err
	case kind == kindPublish:
		p, err := decodePublish(batch)
		if err != nil {
			return nil, err
		}
		return []Command{p}, nil
	case kind == kindControl:
		return decodeControl(reader{b: batch[2:]})
	default:
		return nil, fmt.Errorf("%w: batch kind %d", ErrMalformed, kind)
	}
}

func decodeControl(r reader) ([]Command, error) {
	n := r.count32(commandBytes)
	if r.bad {
		return nil, malformed("count of commands")
	}
	cs := make([]Command, n)
	for i := range cs {
		c, err := r.command()
		if err != nil {
			return nil, err
		}
		cs[i] = c
	}
	if len(r.b) != 0 {
		return nil, malformed("bytes behind the last command")
	}
	return cs, nil
}

func (r *reader) command() (Command, error) {
	var c Command
	tag, q := r.u8(), ID(r.u64())
	switch tag {
	case tagSettle:
		c = Settle{Queue: q, Kind: SettleKind(r.u8()), Bytes: r.u64(), Ranges: r.ranges()}
	case tagRequeue:
		c = Requeue{Queue: q, Failed: r.flag(asFailed), Ranges: r.ranges()}
	case tagConfigure:
		c = Configure{Queue: q, Settings: r.settings()}
	case tagSeal:
		c = Seal{Queue: q, IfEmpty: r.flag(ifEmpty), Held: r.ranges()}
	case tagForget:
		c = Forget{Queue: q}
	case tagPurge:
		c = Purge{Queue: q, Through: r.u64(), Keep: r.ranges()}
	case tagMark:
		c = Mark{Queue: q, Seq: r.u64(), Term: r.u64()}
	case tagUnseal:
		c = Unseal{Queue: q}
	case tagDeadLettered:
		c = DeadLettered{Queue: q, Ranges: r.ranges()}
	case tagHeld:
		c = Held{Queue: q, Messages: r.u64(), Bytes: r.u64()}
	case tagLevel:
		c = Level{Level: uint64(q)}
		if err := level.Check("a log entry", uint64(q), level.Known); err != nil {
			return nil, err // and what follows it may be of any kind
		}
	default:
		return nil, fmt.Errorf("%w: command %d", ErrMalformed, tag)
	}
	if s, ok := c.(Settle); r.bad || q == 0 || ok && (s.Kind < Ack || s.Kind > Drop) {
		return nil, fmt.Errorf("%w: %T", ErrMalformed, c)
	}
	return c, nil
}
