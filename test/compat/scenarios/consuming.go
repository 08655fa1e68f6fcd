package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// consuming is section H: consumers and prefetch.
func consuming() []Scenario {
	return []Scenario{}
}
