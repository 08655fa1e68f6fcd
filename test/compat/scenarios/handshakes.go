package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// handshakes are section B: connections.
func handshakes() []Scenario {
	return []Scenario{}
}
