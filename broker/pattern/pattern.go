// Package pattern matches names against the regular expressions of policies and
// permissions, which are Perl's to those who write them.
//
// Go's own engine takes all that it knows, in time linear in the name. What it
// has no word for - lookahead and lookbehind, atomic groups, possessive
// quantifiers, backreferences - goes to a matcher that tries one way after the
// other, so that ^(?!amq\.) means here what it means to RabbitMQ. Its promise: no
// pattern makes a match cost more than MaxSteps; one that would does not match,
// as there.
package pattern

import (
	"fmt"
	"regexp"
)

// MaxSteps bounds a match; RabbitMQ's limit is the same.
const MaxSteps = 50_000

// Pattern is a compiled expression. It is safe for concurrent use.
type Pattern struct {
	linear *regexp.Regexp
	search node // when linear is nil
	groups int
}

// Error says what is wrong with an expression, and at which byte.
type Error struct {
	Text string
	At   int
}

func (e *Error) Error() string { return fmt.Sprintf("%s at %d", e.Text, e.At) }

// Compile parses an expression. Its errors are *Error.
func Compile(expression string) (*Pattern, error) {
	if re, err := regexp.Compile(expression); err == nil {
		return &Pattern{linear: re}, nil
	}
	p := parser{s: expression}
	n, err := p.parse()
	if err != nil {
		return nil, err
	}
	return &Pattern{search: n, groups: p.groups}, nil
}

// Match says whether the expression matches anywhere in name.
func (p *Pattern) Match(name string) bool {
	if p.linear != nil {
		return p.linear.MatchString(name)
	}
	m := matcher{s: name, captures: make([]span, p.groups+1)}
	for at := 0; at <= len(name); at++ {
		if p.search(&m, at, func(int) bool { return true }) {
			return true
		}
		if m.steps > MaxSteps {
			return false
		}
	}
	return false
}
