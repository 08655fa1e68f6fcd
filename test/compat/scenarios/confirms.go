package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// confirms is section I: confirms and transactions.
func confirms() []Scenario {
	return []Scenario{}
}
