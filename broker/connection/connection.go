// Package connection is AMQP 0-9-1 as its clients see it: a listener, the
// connections it accepts, their channels, and what each method means in terms
// of the ports that it asks of the rest of Warren (ports.go).
//
// It keeps out how a queue is stored, replicated or found, and how frames are
// encoded. Two goroutines make a connection: the reader, which owns its
// channels and runs their methods in order, and the writer, which owns the
// socket. Between them stands one outbox, whose mutex guards all that others
// may touch: what is to be sent, delivery tags and what is unacknowledged. No
// port is called under it.
//
// What it promises: a client's mistake closes its channel or its connection
// with RabbitMQ's code and text and touches nothing else; nothing it sends
// makes memory grow beyond the bounds in Config; a publisher confirm follows
// the Publisher's word, and the basic.return of the same message.
package connection
