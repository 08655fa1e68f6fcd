package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// publishing is section G: publish, return, properties.
func publishing() []Scenario {
	return []Scenario{}
}
