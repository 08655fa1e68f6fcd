package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// permissions is section K: users, permissions, virtual hosts.
func permissions() []Scenario {
	return []Scenario{}
}
