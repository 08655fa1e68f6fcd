package queue

import "encoding/binary"

// Settings are what a queue's group must know about it. Apply reads nothing
// outside the group's log, so they are in it.
//
// Encoded: vhost and name, each length u32 and bytes, then fields u32, the bytes of the
// fields together, each of them tag u8, length u32, bytes. No field is known yet; those
// of newer versions are kept as they came, so that every replica's snapshot carries them on.
type Settings struct {
	VHost, Name string // for inspection
	unknown     string // fields, well formed
}

func (s *Settings) append(dst []byte) []byte {
	for _, v := range [...]string{s.VHost, s.Name, s.unknown} {
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(v))), v...)
	}
	return dst
}

func (r *reader) settings() Settings {
	vhost := r.take(uint64(r.u32()))
	name := r.take(uint64(r.u32()))
	fields := r.take(uint64(r.u32()))
	for rest := (reader{b: fields}); len(rest.b) > 0; {
		rest.u8()
		rest.take(uint64(rest.u32()))
		if rest.bad {
			r.fail()
			return Settings{}
		}
	}
	if string(vhost) != r.vhost { // a batch or snapshot names few vhosts and many queues
		r.vhost = string(vhost)
	}
	return Settings{VHost: r.vhost, Name: string(name), unknown: string(fields)}
}
