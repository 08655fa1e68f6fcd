package traffic

import (
	"strings"
	"testing"
	"time"
)

// step is one report to a ledger of one session.
type step func(l *Ledger)

func send(n int) step {
	return func(l *Ledger) {
		for range n {
			l.sending(1)
		}
	}
}

func confirm(n uint64) step {
	return func(l *Ledger) { l.confirmed(ID{1, n}, true, time.Now()) }
}

func deliver(n uint64, flagged bool) step {
	return func(l *Ledger) { l.delivered(ID{1, n}.encode(nil, 32), flagged, l.epoch) }
}

func ack(n uint64) step { return func(l *Ledger) { l.acknowledged(ID{1, n}, l.epoch) } }

func reconnect(l *Ledger) {
	l.disconnected()
	l.connected()
}

func moved(l *Ledger) { l.connected() }

func TestLedgerNamesBrokenPromises(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
		want  string // part of the error; "" = all is well
	}{
		{"everything once, in order", []step{send(2), confirm(1), confirm(2), deliver(1, false), deliver(2, false)}, ""},
		{"a confirmed message that never comes is lost", []step{send(2), confirm(1), confirm(2), deliver(1, false)}, "1 confirmed messages lost"},
		{"an unconfirmed message may be lost", []step{send(2), confirm(1), deliver(1, false)}, ""},
		{"an unconfirmed message may come once", []step{send(1), deliver(1, false)}, ""},
		{"an unconfirmed message may not come twice", []step{send(1), deliver(1, false), deliver(1, false)}, "came 2 times"},
		{"a second delivery carries the flag", []step{send(1), deliver(1, false), reconnect, deliver(1, true)}, ""},
		{"without the flag it is a broken promise", []step{send(1), deliver(1, false), reconnect, deliver(1, false)}, "without the redelivered flag"},
		{"an acknowledged message comes no more", []step{send(1), deliver(1, false), ack(1), deliver(1, true)}, "after its acknowledgement"},
		{"an acknowledgement may be lost with its connection", []step{send(1), deliver(1, false), ack(1), reconnect, deliver(1, true)}, ""},
		{"first deliveries are in publish order", []step{send(2), deliver(2, false), deliver(1, false)}, "first delivered after 2"},
		{"the flag is no excuse on one connection", []step{send(2), deliver(2, false), deliver(1, true)}, "first seen after 2"},
		{"a delivery lost with its connection may come later", []step{send(2), reconnect, deliver(2, false), deliver(1, true)}, ""},
		{"an orderly end of a connection is no excuse", []step{send(2), moved, deliver(2, false), deliver(1, true)}, "first seen after 2"},
		{"but not without the flag", []step{send(2), reconnect, deliver(2, false), deliver(1, false)}, "first delivered after 2"},
		{"nobody sent it", []step{send(1), deliver(2, false)}, "nobody sent"},
		{"a confirm comes once", []step{send(1), confirm(1), confirm(1), deliver(1, false)}, "second confirm"},
		{"a confirm is for a message", []step{confirm(1)}, "never sent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := NewLedger()
			l.connected()
			l.begin()
			for _, s := range tt.steps {
				s(l)
			}
			err := l.Settled()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Settled: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestChangedBodiesAreSeen(t *testing.T) {
	body := ID{7, 9}.encode(nil, 64)
	for i := range body {
		body[i] ^= 1
		if id, ok := decode(body); ok {
			t.Errorf("byte %d changed: decoded as %v", i, id)
		}
		body[i] ^= 1
	}
	if id, ok := decode(body); !ok || id != (ID{7, 9}) {
		t.Errorf("decode: %v, %v", id, ok)
	}
}

func TestLongestGapCountsTheLastSilence(t *testing.T) {
	l := NewLedger()
	l.begin()
	send(1)(l)
	l.Watch()
	at := l.gap.last
	l.confirmed(ID{1, 1}, true, at.Add(3*time.Second))
	if got := l.LongestGap(); got < 3*time.Second {
		t.Errorf("LongestGap: %v, want 3s", got)
	}
}

func TestConfirmsBeyondTheLine(t *testing.T) {
	l := NewLedger()
	s := l.begin()
	early := l.sending(s)
	l.DrawLine()
	late := l.sending(s)
	l.confirmed(early, true, time.Now())
	if c := l.Count(); c.Beyond != 0 || c.Confirmed != 1 {
		t.Errorf("after the confirm of a message from before the line: %+v", c)
	}
	l.confirmed(late, true, time.Now())
	if c := l.Count(); c.Beyond != 1 {
		t.Errorf("after the confirm of a message from behind the line: %+v", c)
	}
}
