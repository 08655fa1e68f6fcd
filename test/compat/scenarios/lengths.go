package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// lengths is section J: the length of queues.
func lengths() []Scenario {
	return []Scenario{}
}
