// Package auth says who a client is and what it may do: users with RabbitMQ's
// password hashes, SASL PLAIN and AMQPLAIN, users that are confined to loopback,
// and permissions on the resources of a vhost and the topics of its exchanges.
//
// It keeps out where users are stored, which is asked through Config, and how a
// refusal travels to the client. Its promises: parsers refuse lengths before they
// use them, no error text holds a password, and an unknown user takes as long to
// refuse as a wrong password.
package auth

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/warrenmq/warren/broker/pattern"
)

// The kinds of refusal, each with AMQP's reply code.
var (
	ErrRefused          = errors.New("access refused")                   // 403: wrong credentials, or no permission
	ErrNotAllowed       = errors.New("not allowed")                      // 530: no access to the vhost
	ErrMalformed        = errors.New("malformed SASL response")          // 502
	ErrUnknownMechanism = errors.New("unknown authentication mechanism") // 503
)

// Error is a refusal: its kind for errors.Is, the text that RabbitMQ tells the
// client, and the reason, which is for the log alone.
type Error struct {
	Kind   error
	Text   string
	Reason string
}

func (e *Error) Error() string {
	if e.Reason == "" {
		return e.Text
	}
	return e.Text + " (" + e.Reason + ")"
}

func (e *Error) Unwrap() error { return e.Kind }

// User is a user as stored. PasswordHash is RabbitMQ's: four bytes of salt, then
// the hash of salt and password.
type User struct {
	Name             string
	PasswordHash     []byte
	HashingAlgorithm string // "" is SHA256
	Tags             []string
}

// Permission is what a user may do in a vhost: three regular expressions for the
// names of queues and exchanges.
type Permission struct {
	User, VHost            string
	Configure, Write, Read string
}

// TopicPermission confines a user in one exchange of a vhost by routing keys: two
// regular expressions, in which {username} and {vhost} stand for the client's. A
// user without one for an exchange is not confined there.
type TopicPermission struct {
	User, VHost, Exchange string
	Write, Read           string
}

// Config says where users are found. The functions are called from many goroutines.
type Config struct {
	User       func(name string) (User, bool)
	Permission func(user, vhost string) (Permission, bool)
	// TopicPermission may be nil: then nobody is confined.
	TopicPermission func(user, vhost, exchange string) (TopicPermission, bool)
	VHost           func(name string) bool // whether it exists
	// LoopbackUsers may connect from loopback addresses only.
	LoopbackUsers []string
}

// DefaultLoopbackUsers are those of a RabbitMQ that was not told otherwise.
func DefaultLoopbackUsers() []string { return []string{"guest"} }

// Checker answers for users and permissions. It is safe for concurrent use.
type Checker struct {
	cfg Config

	mu       sync.Mutex
	patterns map[string]*pattern.Pattern // by expression; nil for one that is none
}

// New returns a Checker.
func New(cfg Config) *Checker {
	return &Checker{cfg: cfg, patterns: make(map[string]*pattern.Pattern)}
}

// Authenticate takes a SASL mechanism's response and the address it came from, and names the user.
func (c *Checker) Authenticate(mechanism string, response []byte, peer net.Addr) (user string, err error) {
	var claim Credentials
	switch mechanism {
	case "PLAIN":
		claim, err = ParsePlain(response)
	case "AMQPLAIN":
		claim, err = ParseAMQPlain(response)
	default:
		return "", &Error{Kind: ErrUnknownMechanism, Text: fmt.Sprintf("unknown authentication mechanism '%s'", mechanism)}
	}
	if err != nil {
		return "", err
	}
	if reason := c.refusal(claim, peer); reason != "" {
		return "", &Error{Kind: ErrRefused, Reason: reason, Text: fmt.Sprintf(
			"Login was refused using authentication mechanism %s. For details see the broker logfile.", mechanism)}
	}
	return claim.User, nil
}

// refusal is why a claim is refused, "" when it is not.
func (c *Checker) refusal(claim Credentials, peer net.Addr) string {
	u, known := c.cfg.User(claim.User)
	match := u.CheckPassword(claim.Password) // of an unknown user, too: the time taken must not tell
	switch {
	case claim.Password == "":
		return fmt.Sprintf("user '%s' attempted to log in with a blank password", claim.User)
	case !known || !match:
		return fmt.Sprintf("user '%s' - invalid credentials", claim.User)
	case slices.Contains(c.cfg.LoopbackUsers, claim.User) && !isLoopback(peer):
		return fmt.Sprintf("user '%s' can only connect via localhost", claim.User)
	}
	return ""
}

// isLoopback tells addresses of this machine: loopback ones and Unix sockets.
func isLoopback(peer net.Addr) bool {
	switch a := peer.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}
