// Package wire is the codec of AMQP 0-9-1 with RabbitMQ's extensions: frames,
// methods, content headers, field tables and reply codes, bytes in and values out.
//
// It holds no sockets, no goroutines and no broker state. Every decoder refuses
// a length before it allocates for it: no input can make it panic, outgrow
// frame-max or cost more memory than 4 times its size and 64 KiB.
//
// A frame's payload and what is borrowed from it (PropertyView, ContentHeader)
// live until the next ReadFrame; methods and tables own their memory.
//
// Texts of errors are RabbitMQ's where RabbitMQ has one, Erlang terms included.
package wire

//go:generate go run ./gen
