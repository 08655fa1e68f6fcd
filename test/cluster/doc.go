// Package cluster runs brokers as real processes on this machine: three Warren
// nodes, or three of Debian's RabbitMQ beside them, each with its own data
// folder and ports. It starts, kills, stops, pauses and restarts them, keeps
// their log lines and reads what they cost.
//
// It signals only processes that it started, by their id, and they end with
// the process that started them. Every wait takes a context and names what it
// waited for.
package cluster
