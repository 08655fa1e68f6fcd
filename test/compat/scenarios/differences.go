package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// differences is section Q: where Warren differs on purpose.
func differences() []Scenario {
	return []Scenario{}
}
