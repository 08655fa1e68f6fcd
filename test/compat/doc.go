// Package compat holds Warren to what existing clients expect: scripts for
// Debian's python3-pika, and tests with amqp091-go, against real processes
// through every node. The same cases run against RabbitMQ with
// WARREN_COMPAT=rabbitmq, which shows that they ask for the right thing.
package compat
