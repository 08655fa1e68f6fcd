// Package bench loads a broker through amqp091-go and says what it took:
// messages and confirms a second, the times of confirms, and the CPU seconds
// of all nodes together for a million messages (published, replicated,
// delivered and acknowledged). Generator and brokers share the machine, so CPU
// a message is the truer figure, and figures compare within one run only.
//
// The generator is lean: one write a publish, one acknowledgement a message,
// no allocation of its own for each.
package bench
