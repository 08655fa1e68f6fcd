package topology

import (
	"encoding/base64"
	"strings"
)

// maxName is the length of AMQP's short string.
const maxName = 255

// namePrefix is the argument that chooses the start of a server-given queue name. It is not kept.
const namePrefix = "x-name-prefix"

// CleanName strips line ends from a name as clients sent it, as RabbitMQ does.
func CleanName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}

// ServerName makes the name of a queue that was declared without one from 16 random
// bytes of the caller's.
func ServerName(random [16]byte, args Arguments) (string, error) {
	prefix, _ := args[namePrefix].(string)
	switch {
	case prefix == "":
		prefix = "amq.gen"
	case len(prefix) > 64:
		return "", refuse(ErrPreconditionFailed, "Queue name prefix '%s' exceeds the 64-byte limit", CleanName(prefix))
	}
	return CleanName(prefix) + "-" + base64.RawURLEncoding.EncodeToString(random[:]), nil
}

// checkName holds for names of clients at the creation of a thing.
func checkName(kind, name string) error {
	if strings.HasPrefix(name, "amq.") {
		return refuse(ErrAccessRefused, "%s name '%s' contains reserved prefix 'amq.*'", kind, name)
	}
	return checkLength(kind, name)
}

func checkLength(kind, name string) error {
	if len(name) > maxName {
		return refuse(ErrPreconditionFailed, "%s name is longer than %d bytes", kind, maxName)
	}
	return nil
}

// ReplyTo is the name that clients use for direct reply-to.
const ReplyTo = "amq.rabbitmq.reply-to"

// IsReplyQueue tells the names that direct reply-to gives, whose queues nobody binds
// and no limit counts: RabbitMQ keeps them nowhere.
func IsReplyQueue(name string) bool { return strings.HasPrefix(name, ReplyTo+".") }

// checkNotDefault refuses operations on the exchange that has no name.
func checkNotDefault(exchange string) error {
	if exchange == "" {
		return refuse(ErrAccessRefused, "operation not permitted on the default exchange")
	}
	return nil
}
