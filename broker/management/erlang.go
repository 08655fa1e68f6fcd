package management

import "strings"

// atom writes a name as Erlang prints its atoms.
func atom(s string) string {
	if strings.Contains(s, "-") {
		return "'" + s + "'"
	}
	return s
}
