package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// exchanges are section D: exchanges and their types.
func exchanges() []Scenario {
	return []Scenario{}
}
