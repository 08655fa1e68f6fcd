package connection

import (
	"context"
	"errors"
	"fmt"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// fault makes an error that this package itself answers a client with.
func fault(code uint16, format string, args ...any) error {
	return &wire.Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// operationError is an error of a port with what RabbitMQ's texts name: the thing it
// is about, as "queue 'q' in vhost '/'".
type operationError struct {
	resource string
	err      error
}

func (e *operationError) Error() string { return e.resource + ": " + e.err.Error() }
func (e *operationError) Unwrap() error { return e.err }

// about adds to err the queue that it is about.
func about(vhost, name string, err error) error {
	if err == nil {
		return nil
	}
	return &operationError{resource: fmt.Sprintf("queue '%s' in vhost '%s'", name, vhost), err: err}
}

// exception is the one place where an error of the broker becomes a reply code.
func exception(err error) *wire.Error {
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e
	}
	code, text := wire.InternalError, "" // hard: closes the connection; what went wrong is for the log
	switch {
	case errors.Is(err, topology.ErrNotFound):
		code, text = wire.NotFound, explanation(err)
	case errors.Is(err, topology.ErrPreconditionFailed):
		code, text = wire.PreconditionFailed, explanation(err)
	case errors.Is(err, topology.ErrAccessRefused):
		code, text = wire.AccessRefused, explanation(err)
	case errors.Is(err, topology.ErrResourceLocked):
		code, text = wire.ResourceLocked, explanation(err)
	case errors.Is(err, topology.ErrNotAllowed):
		code, text = wire.NotAllowed, explanation(err)
	case errors.Is(err, auth.ErrRefused):
		code, text = wire.AccessRefused, explanation(err)
	case errors.Is(err, auth.ErrNotAllowed):
		code, text = wire.NotAllowed, explanation(err)
	case errors.Is(err, auth.ErrMalformed):
		code, text = wire.SyntaxError, explanation(err)
	case errors.Is(err, auth.ErrUnknownMechanism):
		code, text = wire.CommandInvalid, explanation(err)
	case errors.Is(err, leader.ErrNoQueue):
		code, text = wire.NotFound, "no "+resource(err)
	case errors.Is(err, leader.ErrSingleActive):
		code, text = wire.ResourceLocked, "cannot obtain access to locked "+resource(err)+
			". basic.get operations are not supported by quorum queues with single active consumer"
	case errors.Is(err, leader.ErrStream):
		code, text = wire.NotImplemented, "not supported by stream "+resource(err)
	case errors.Is(err, leader.ErrExclusive):
		code, text = wire.AccessRefused, resource(err)+" in exclusive use"
	case errors.Is(err, leader.ErrInUse):
		code, text = wire.PreconditionFailed, resource(err)+" in use"
	case errors.Is(err, leader.ErrNotEmpty):
		code, text = wire.PreconditionFailed, resource(err)+" not empty"
	case errors.Is(err, leader.ErrUnavailable), errors.Is(err, leader.ErrNotLeading), errors.Is(err, context.DeadlineExceeded):
		text = "failed to perform operation on " + resource(err) + " due to timeout"
	}
	e := &wire.Error{Code: code, Text: text}
	if text != err.Error() {
		e.Cause = err
	}
	return e
}

// explanation is a domain error's text for the client, without what it was
// wrapped in and what is for the log.
func explanation(err error) string {
	if e, ok := errors.AsType[*topology.Error](err); ok {
		return e.Text
	}
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return e.Text
	}
	return err.Error()
}

func resource(err error) string {
	if e, ok := errors.AsType[*operationError](err); ok {
		return e.resource
	}
	return "the cluster's definitions"
}
