package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// limits is section L: flow control, alarms, limits.
func limits() []Scenario {
	return []Scenario{}
}
