package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// acknowledging is section H: get, ack, reject, nack, recover.
func acknowledging() []Scenario {
	return []Scenario{}
}
