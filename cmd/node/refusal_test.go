package node

import "testing"

// The end of one reason to take no leadership does not end another.
func TestReasonsToYieldDoNotUndoEachOther(t *testing.T) {
	var r refusal
	var yields bool
	for i, step := range []struct {
		one   reason
		holds bool
		want  bool
	}{
		{shortOfDisk, false, false},
		{shortOfDisk, true, true},
		{maintenance, true, true},
		{maintenance, false, true}, // revived while the disk is short
		{maintenance, true, true},
		{shortOfDisk, false, true}, // room while it is drained
		{maintenance, false, false},
		{ending, true, true},
		{shortOfDisk, false, true},
	} {
		r.set(step.one, step.holds, func(yes bool) { yields = yes })
		if yields != step.want || r.is(step.one) != step.holds {
			t.Errorf("step %d: yields %v, want %v", i, yields, step.want)
		}
	}
}
