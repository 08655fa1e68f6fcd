package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// priorities is section J: priorities.
func priorities() []Scenario {
	return []Scenario{}
}
