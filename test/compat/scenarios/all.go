// Package scenarios is the table of what Warren's clients may rely on: short
// programs of AMQP operations by the rows of the contract that they show, run
// on RabbitMQ and on Warren by package test/compat/diff. A file holds the
// scenarios of one section.
package scenarios

import (
	"slices"

	"github.com/warrenmq/warren/test/compat/diff"
)

// All is the table.
func All() []diff.Scenario {
	return slices.Concat(
		framing(),
		handshakes(),
		secure(),
		channels(),
		exchanges(),
		exchangeTypes(),
		queueDeclarations(),
		queueArguments(),
		bindings(),
		publishing(),
		consuming(),
		acknowledging(),
		confirms(),
		expiry(),
		lengths(),
		deadLetters(),
		priorities(),
		policies(),
		permissions(),
		limits(),
		alarms(),
		replies(),
		streams(),
		differences(),
	)
}
