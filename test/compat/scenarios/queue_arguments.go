package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// queueArguments is section E: the arguments of queues, E16 to E35.
func queueArguments() []Scenario {
	return []Scenario{}
}
