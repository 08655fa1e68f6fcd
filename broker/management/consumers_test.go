package management

import (
	"net"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// H21: what a node knows of its consumers, in RabbitMQ's fields.
func TestConsumers(t *testing.T) {
	w := newWorld(t)
	declare(t, w, "q")
	if _, err := w.top.Apply(topology.DeclareVHost{VHost: topology.VHost{Name: "v"}}); err != nil {
		t.Fatal(err)
	}
	c := &connection.Info{Name: "127.0.0.1:4 -> 127.0.0.1:5672", User: "u", Peer: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4}}
	one, plain := queue.Settings{SingleActive: true}, queue.Settings{}
	q := w.top.Queue("/", "q")
	for _, k := range []struct {
		settings *queue.Settings
		info     connection.ConsumerInfo
	}{
		{&one, connection.ConsumerInfo{Connection: c, Channel: 2, Tag: "waits", NoAck: true}},
		{&one, connection.ConsumerInfo{Connection: c, Channel: 1, Tag: "gets", Active: true, Prefetch: 3, Timeout: time.Minute,
			Arguments: map[string]any{"x-priority": int32(5)}}},
		{&plain, connection.ConsumerInfo{Connection: c, Channel: 3, Tag: "one of many", Exclusive: true}},
	} {
		w.consumers = append(w.consumers, DescribeConsumer("n1", q, k.settings, &k.info))
	}
	const details = `"user":"u","connection_name":"127.0.0.1:4 -> 127.0.0.1:5672","peer_host":"127.0.0.1","peer_port":4,"node":"n1"}`
	w.steps([]step{
		{"GET /api/consumers/%2F", 200, `[{"queue":{"name":"q","vhost":"/"},"channel_details":{"name":"127.0.0.1:4 -> 127.0.0.1:5672 (1)","number":1,` + details +
			`,"consumer_tag":"gets","consumer_timeout":60000,"exclusive":false,"ack_required":true,"prefetch_count":3,"active":true,` +
			`"activity_status":"single_active","arguments":{"x-priority":5}},`},
		{"GET /api/consumers?columns=consumer_tag,ack_required,consumer_timeout,exclusive,active,activity_status", 200,
			`{"ack_required":false,"active":false,"activity_status":"waiting","consumer_tag":"waits","consumer_timeout":"undefined","exclusive":false},` +
				`{"ack_required":true,"active":true,"activity_status":"up","consumer_tag":"one of many","consumer_timeout":"undefined","exclusive":true}]`},
		{"GET /api/consumers/v", 200, `[]`},
		{"GET /api/consumers/x", 404, objectNotFound},
	})
}
