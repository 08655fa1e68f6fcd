package auth

import (
	"bytes"
	"encoding/binary"

	"github.com/warrenmq/warren/broker/wire"
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
// its length, among them the strings LOGIN and PASSWORD. Others may be of any type.
func ParseAMQPlain(response []byte) (Credentials, error) {
	table := append(binary.BigEndian.AppendUint32(nil, uint32(len(response))), response...)
	fields, err := wire.SplitTable(table)
	if err != nil {
		return Credentials{}, unsupportedField()
	}
	var c Credentials
	var hasUser, hasPassword bool
	for _, f := range fields {
		to, has := &c.User, &hasUser
		switch f.Key {
		case "LOGIN":
		case "PASSWORD":
			to, has = &c.Password, &hasPassword
		default:
			continue
		}
		if kind := f.Value[0]; kind != 'S' && kind != 'x' {
			return Credentials{}, unsupportedField()
		}
		*to, *has = string(f.Value[5:]), true // behind type and length
	}
	if !hasUser || !hasPassword {
		return Credentials{}, malformed("AMQPLAIN auth info is missing LOGIN or PASSWORD field")
	}
	return c, nil
}

func unsupportedField() error {
	return malformed("AMQPLAIN auth info uses unsupported type for LOGIN or PASSWORD field")
}

// malformed does not repeat the response as RabbitMQ does: it holds a password.
func malformed(text string) error { return &Error{Kind: ErrMalformed, Text: text} }
