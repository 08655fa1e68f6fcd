// Package level says which versions of the state machines a build knows. A level is turned
// on for a cluster by an entry of the meta group's log, once every node's build knows it,
// and for a queue group by an entry of the group's log: all replicas apply the entries
// before it as they did before, and those behind it in the new way. Until then nothing is
// written that an older build could not read, so a node may go back to one. Levels never go down.
package level

import (
	"errors"
	"fmt"
)

// First is the level of everything that says nothing else.
const First = 1

// ErrUnknown says that something was written at a level that this build does not know:
// it must not be guessed at, and a newer build reads it.
var ErrUnknown = errors.New("a newer build is needed")

// Check refuses what is beyond the level that is known. what says where it was found.
func Check(what string, written, known uint64) error {
	if written <= known {
		return nil
	}
	return fmt.Errorf("%s was written at level %d, this build knows %d: %w", what, written, known, ErrUnknown)
}
