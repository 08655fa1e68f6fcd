package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// replies is section M: direct reply-to.
func replies() []Scenario {
	return []Scenario{}
}
