package topology

import (
	"errors"
	"fmt"
)

// The kinds of refusal, each with AMQP's reply code.
var (
	ErrNotFound           = errors.New("not found")           // 404
	ErrPreconditionFailed = errors.New("precondition failed") // 406
	ErrAccessRefused      = errors.New("access refused")      // 403
	ErrResourceLocked     = errors.New("resource locked")     // 405
	ErrNotAllowed         = errors.New("not allowed")         // 530
)

// Error is a refusal: its kind for errors.Is, and RabbitMQ's explanation to the
// letter, without the name of the code.
type Error struct {
	Kind error
	Text string
}

func (e *Error) Error() string { return e.Text }
func (e *Error) Unwrap() error { return e.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// resource is how RabbitMQ names a thing in its texts.
type resource struct{ kind, vhost, name string }

func (r resource) String() string {
	return fmt.Sprintf("%s '%s' in vhost '%s'", r.kind, r.name, r.vhost)
}

func exchangeNamed(vhost, name string) resource { return resource{"exchange", vhost, name} }
func queueNamed(vhost, name string) resource    { return resource{"queue", vhost, name} }

func notFound(r resource) error { return refuse(ErrNotFound, "no %v", r) }
