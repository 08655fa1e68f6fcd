package scenarios

import . "github.com/warrenmq/warren/test/compat/diff"

// bindings is section F: bind, purge, delete.
func bindings() []Scenario {
	return []Scenario{}
}
