package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// deadLetters is section J: dead letters and delivery limits.
func deadLetters() []Scenario {
	return []Scenario{}
}
