package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// policies is section K: policies.
func policies() []Scenario {
	return []Scenario{}
}
