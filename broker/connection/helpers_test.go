package connection_test

import (
	"testing"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
)

// start runs a listener over a broker in memory.
func start(tb testing.TB, change ...func(*connection.Config)) (*conntest.Broker, string) {
	tb.Helper()
	b := conntest.New(tb)
	cfg := b.Config()
	for _, f := range change {
		f(&cfg)
	}
	return b, conntest.Serve(tb, cfg)
}

// open is start with one client that has channel 1 open.
func open(tb testing.TB, change ...func(*connection.Config)) (*conntest.Broker, *conntest.Client) {
	tb.Helper()
	b, address := start(tb, change...)
	c := conntest.Open(tb, address)
	c.Channel(1)
	return b, c
}
