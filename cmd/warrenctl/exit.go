package main

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/cmd/control"
)

// The exit codes of rabbitmqctl, which are sysexits(3)'s.
const (
	exitUsage       = 64 // what was asked for cannot be understood
	exitData        = 65 // it names what does not exist
	exitNoUser      = 67 // it names a user that does not exist
	exitUnavailable = 69 // no node answers
	exitSoftware    = 70 // it was refused
	exitTempFail    = 75 // it took too long
)

// failure is an error with its exit code.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func exitCode(err error) int {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return exitTempFail
	case errors.Is(err, control.ErrUnreachable):
		return exitUnavailable
	}
	return exitSoftware
}

// isMissing says that the node knows no such thing.
func isMissing(err error) bool {
	r, ok := errors.AsType[*control.Refusal](err)
	return ok && r.Code == 404
}

// isBad says that the node refused what it was given.
func isBad(err error, reason string) bool {
	r, ok := errors.AsType[*control.Refusal](err)
	return ok && r.Code == 400 && r.Reason == reason
}
