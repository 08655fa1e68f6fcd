package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// queueDeclarations is section E: how queues are declared, E1 to E15 and E36 on.
func queueDeclarations() []Scenario {
	return []Scenario{}
}
