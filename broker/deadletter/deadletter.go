// Package deadletter takes messages that died in a queue to where the queue's
// settings say: it writes their death into their headers as RabbitMQ 4 does, to
// the octet, routes them, and publishes them until every target has them.
//
// When a message dies, and that its queue keeps it until it is safe elsewhere, is
// broker/queue's and broker/leader's. Rewriting is pure; the Router holds nothing
// that a crash could lose.
//
// What RabbitMQ 3 did otherwise, and a comparison with it has to allow for:
// x-last-death-* were not written; original-expiration came last, and the fields of
// an entry whose count rose were in the order of their names; with every death the
// older entries of x-death turned their order round; an x-death that the publisher
// had sent was added to, where it is replaced now. The time of an entry is the
// first death's in both.
// What RabbitMQ 4 does otherwise: it leaves the header CC of a message that is
// routed by x-dead-letter-routing-key, though its keys are not used any more.
package deadletter

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"time"

	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/wire"
)

// maxDeaths bounds the entries of x-death, one for each queue and reason: the oldest
// are left out beyond it, and a message whose headers no client could take is not made.
const maxDeaths = 100

// Letter is a message on its way out of the queue in which it died.
type Letter struct {
	Message queue.Message // as it is published; its exchange is the dead-letter exchange
	Keys    []string      // further routing keys: CC and BCC
	Deaths  []Death       // newest first
}

// Death is what x-death says of one queue and reason.
type Death struct {
	Queue, Reason string
	entry         []byte // a table as a value
}

// Write writes the death of m in the queue of s into it. m is not changed.
func Write(s *queue.Settings, reason queue.Reason, died time.Time, m *queue.Message) (*Letter, error) {
	p, err := wire.SplitProperties(m.Properties)
	if err != nil {
		return nil, err
	}
	cc := keysOf(p.Headers, "CC")
	deaths := record(p.Headers, s, reason, died, m, cc)

	l := &Letter{Message: *m, Deaths: deaths}
	l.Message.Exchange, l.Message.TTL, l.Message.Died = s.DeadLetterExchange, queue.NoTTL, true
	p.Expiration = nil
	if s.HasDeadLetterKey {
		l.Message.RoutingKey, l.Message.Blind = s.DeadLetterKey, nil
		p.DropHeader("CC")
	} else {
		l.Keys = append(cc, m.Blind...)
	}
	p.Headers = headers(p.Headers, deaths, m, s, reason)
	l.Message.Properties, err = p.Join(make([]byte, 0, len(m.Properties)+512))
	return l, err
}

// record is the list of deaths with the one that has just come, which is the first.
func record(headers []wire.Entry, s *queue.Settings, reason queue.Reason, died time.Time, m *queue.Message, cc []string) []Death {
	var earlier []Death
	if m.Died { // else x-death is the publisher's, which says nothing (G14)
		earlier = deathsIn(headers)
	}
	this := Death{Queue: s.Name, Reason: reason.String()}
	i := slices.IndexFunc(earlier, func(d Death) bool { return d.Queue == this.Queue && d.Reason == this.Reason })
	if i >= 0 {
		this.entry = counted(earlier[i].entry)
		earlier = slices.Delete(earlier, i, i+1)
	} else {
		this.entry = entry(&this, died, m, cc)
	}
	deaths := append([]Death{this}, earlier...)
	return deaths[:min(len(deaths), maxDeaths)]
}

// entry is the first entry of a queue and reason: a table as a value (J5).
func entry(d *Death, died time.Time, m *queue.Message, cc []string) []byte {
	var fields []wire.Entry
	text := func(key, value string) {
		fields = append(fields, wire.Entry{Key: key, Value: wire.AppendLongstr(nil, value)})
	}
	if m.TTL >= 0 {
		text("original-expiration", strconv.FormatInt(m.TTL.Milliseconds(), 10))
	}
	fields = append(fields, wire.Entry{Key: "count", Value: append([]byte{'l'}, 0, 0, 0, 0, 0, 0, 0, 1)})
	text("reason", d.Reason)
	text("queue", d.Queue)
	fields = append(fields, wire.Entry{Key: "time", Value: binary.BigEndian.AppendUint64([]byte{'T'}, uint64(died.Unix()))})
	text("exchange", m.Exchange)
	keys := make([][]byte, 0, 1+len(cc))
	for _, key := range append([]string{m.RoutingKey}, cc...) {
		keys = append(keys, wire.AppendLongstr(nil, key))
	}
	fields = append(fields, wire.Entry{Key: "routing-keys", Value: wire.JoinArray(nil, keys)})
	table, _ := wire.JoinTable([]byte{'F'}, fields) // seven short keys
	return table
}

// counted is an entry with its count one higher.
func counted(entry []byte) []byte {
	entry = slices.Clone(entry)
	fields, err := wire.SplitTable(entry[1:])
	if err != nil {
		return entry
	}
	for _, f := range fields {
		if f.Key == "count" && len(f.Value) == 9 && f.Value[0] == 'l' {
			binary.BigEndian.PutUint64(f.Value[1:], binary.BigEndian.Uint64(f.Value[1:])+1) // borrowed from entry
		}
	}
	return entry
}

// deathsIn reads x-death as this package wrote it.
func deathsIn(headers []wire.Entry) []Death {
	i := slices.IndexFunc(headers, func(e wire.Entry) bool { return e.Key == xDeath })
	if i < 0 {
		return nil
	}
	values, err := wire.SplitArray(headers[i].Value)
	if err != nil {
		return nil
	}
	var deaths []Death
	for _, v := range values {
		if v[0] != 'F' {
			continue
		}
		fields, err := wire.SplitTable(v[1:])
		if err != nil {
			continue
		}
		d := Death{entry: v}
		for _, f := range fields {
			switch f.Key {
			case "queue":
				d.Queue, _ = wire.Longstr(f.Value)
			case "reason":
				d.Reason, _ = wire.Longstr(f.Value)
			}
		}
		deaths = append(deaths, d)
	}
	return deaths
}

const xDeath = "x-death"

// headers are those of the message with what is to say of its deaths: sorted by
// name, of doubles the first, as RabbitMQ 4 hands them out.
func headers(old []wire.Entry, deaths []Death, m *queue.Message, s *queue.Settings, reason queue.Reason) []wire.Entry {
	entries := make([][]byte, len(deaths))
	for i, d := range deaths {
		entries[i] = d.entry
	}
	all := []wire.Entry{{Key: xDeath, Value: wire.JoinArray(nil, entries)}}
	tell := func(which string) {
		for _, f := range [...]struct{ name, value string }{{"reason", reason.String()}, {"queue", s.Name}, {"exchange", m.Exchange}} {
			all = append(all, wire.Entry{Key: which + f.name, Value: wire.AppendLongstr(nil, f.value)})
		}
	}
	tell("x-last-death-")
	if !m.Died {
		tell("x-first-death-")
	}
	all = append(all, old[:min(len(old), wire.TableEntriesMax-len(all))]...) // so many headers leave no room for all
	slices.SortStableFunc(all, func(a, b wire.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return slices.CompactFunc(all, func(a, b wire.Entry) bool { return a.Key == b.Key })
}

// keysOf are the long strings of a header that is an array: CC or BCC.
func keysOf(headers []wire.Entry, name string) []string {
	i := slices.IndexFunc(headers, func(e wire.Entry) bool { return e.Key == name })
	if i < 0 {
		return nil
	}
	values, err := wire.SplitArray(headers[i].Value)
	if err != nil {
		return nil
	}
	var keys []string
	for _, v := range values {
		if key, ok := wire.Longstr(v); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func without(headers []wire.Entry, name string) []wire.Entry {
	return slices.DeleteFunc(headers, func(e wire.Entry) bool { return e.Key == name })
}

// Cycles says whether the message would come back to a queue in which it died
// without a client's having rejected it on the way (J7): then it is not sent there.
func (l *Letter) Cycles(target string) bool {
	if l.Deaths[0].Reason == queue.Rejected.String() {
		return false
	}
	for _, d := range l.Deaths {
		switch {
		case d.Reason == queue.Rejected.String():
			return false
		case d.Queue == target:
			return true
		}
	}
	return false
}
