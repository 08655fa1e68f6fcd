package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// expiry is section J: TTL and queue expiry.
func expiry() []Scenario {
	return []Scenario{}
}
