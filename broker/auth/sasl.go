package auth

import (
	"bytes"
	"encoding/binary"
)

// Credentials are what a client claims.
type Credentials struct{ User, Password string }

// ParsePlain reads a response of SASL PLAIN: an empty authorization id, user and
// password, each behind a zero byte.
func ParsePlain(response []byte) (Credentials, error) {
	id, rest, ok := bytes.Cut(response, []byte{0})
	if !ok || len(id) > 0 {
		return Credentials{}, malformed("response invalid")
	}
	user, password, ok := bytes.Cut(rest, []byte{0})
	if !ok || bytes.IndexByte(password, 0) >= 0 {
		return Credentials{}, malformed("response invalid")
	}
	return Credentials{User: string(user), Password: string(password)}, nil
}

// ParseAMQPlain reads a response of AMQPLAIN: the fields of an AMQP table without
// its length, among them the strings LOGIN and PASSWORD. Fields of other types than
// strings, which no client sends, are refused.
func ParseAMQPlain(response []byte) (Credentials, error) {
	var c Credentials
	var hasUser, hasPassword bool
	for rest := response; len(rest) > 0; {
		name, value, after, ok := stringField(rest)
		if !ok {
			return Credentials{}, malformed("AMQPLAIN auth info uses unsupported type for LOGIN or PASSWORD field")
		}
		switch string(name) {
		case "LOGIN":
			c.User, hasUser = string(value), true
		case "PASSWORD":
			c.Password, hasPassword = string(value), true
		}
		rest = after
	}
	if !hasUser || !hasPassword {
		return Credentials{}, malformed("AMQPLAIN auth info is missing LOGIN or PASSWORD field")
	}
	return c, nil
}

// stringField takes a short name, a type that is S or x, and a long string off the front of b.
func stringField(b []byte) (name, value, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0])+1+4 {
		return nil, nil, nil, false
	}
	name, b = b[1:1+int(b[0])], b[1+int(b[0]):]
	kind, size, b := b[0], binary.BigEndian.Uint32(b[1:5]), b[5:]
	if kind != 'S' && kind != 'x' || uint64(size) > uint64(len(b)) {
		return nil, nil, nil, false
	}
	return name, b[:size], b[size:], true
}

// malformed does not repeat the response as RabbitMQ does: it holds a password.
func malformed(text string) error { return &Error{Kind: ErrMalformed, Text: text} }
