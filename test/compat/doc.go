// Package compat holds Warren to what existing clients expect: scripts for
// Debian's python3-pika against real processes, through every node, which run
// against RabbitMQ with WARREN_COMPAT=rabbitmq; what becomes of dead letters when
// nodes are killed; and what an operator is told at the start. What both brokers
// answer method by method is packages diff and scenarios below.
package compat
