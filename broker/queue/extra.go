package queue

// extra is what only few runs have: messages settled between unsettled ones, returns, and what
// messages brought along. Bit and number i belong to sequence number base+i; base stays when
// the run is shortened.
//
// Runs that are next to each other and alike share one, which has no number that belongs to a
// certain message. So a message that was published alone, with a time to live, costs no more
// than one without.
type extra struct {
	base     uint64
	settled  bitmap         // nil when none is
	returned column[uint32] // how often
	details  *details       // nil when there are none
	death    *death         // of dead letters only; never changed once they are listed
	shared   bool           // nothing of it may be changed
}

// details are what fewer runs have.
type details struct {
	failed     column[uint32] // how often a message was returned as failed
	ttls       column[uint64] // nanoseconds + 1; 0: none
	priorities column[uint8]
	sizes      column[uint32] // of the bodies, where the run's bytes do not say enough
}

// death is how all messages of a run of dead letters died.
type death struct {
	reason  Reason
	refused bool   // the queue never had them
	at      int64  // Unix nanoseconds
	shift   uint64 // sequence numbers less numbers of the dead letters
}

func (d *death) like(e *death) bool { return d == e || d != nil && e != nil && *d == *e }

var none details

// detail is never nil, and not to be changed.
func (x *extra) detail() *details {
	if x == nil || x.details == nil {
		return &none
	}
	return x.details
}

func (x *extra) timed() int {
	if x == nil || x.details == nil || x.details.ttls == nil {
		return 0
	}
	return 1
}

// like says whether a run with x may be one with a run that has y, or share y with it.
func (x *extra) like(y *extra) bool {
	switch {
	case x == y:
		return x == nil || x.shared
	case x == nil || y == nil:
		return false
	}
	d, e := x.detail(), y.detail()
	return x.settled == nil && y.settled == nil && x.returned.like(y.returned) && x.death.like(y.death) &&
		d.failed.like(e.failed) && d.ttls.like(e.ttls) && d.priorities.like(e.priorities) && d.sizes.like(e.sizes)
}

// own is a copy of a shared extra, for the run that begins at base.
func (x *extra) own(base uint64) *extra {
	o := &extra{base: base, death: x.death, returned: append(column[uint32](nil), x.returned...)}
	if x.details != nil {
		d := *x.details // columns but failed are never changed
		d.failed = append(column[uint32](nil), d.failed...)
		o.details = &d
	}
	return o
}
