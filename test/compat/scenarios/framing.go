package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// framing are section A: the error model, frames, heartbeats.
func framing() []Scenario {
	return []Scenario{}
}
