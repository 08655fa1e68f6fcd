package management

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// Consumer is a consumer in listings.
type Consumer struct {
	Queue          QueueName      `json:"queue"`
	ChannelDetails ChannelDetails `json:"channel_details"`
	Tag            string         `json:"consumer_tag"`
	Timeout        any            `json:"consumer_timeout"` // milliseconds, or Erlang's word for none
	Exclusive      bool           `json:"exclusive"`
	AckRequired    bool           `json:"ack_required"`
	Prefetch       int            `json:"prefetch_count"`
	Active         bool           `json:"active"`
	ActivityStatus string         `json:"activity_status"`
	Arguments      map[string]any `json:"arguments"`
}

// QueueName says which queue is meant.
type QueueName struct {
	Name  string `json:"name"`
	VHost string `json:"vhost"`
}

// ChannelDetails say whose a channel is.
type ChannelDetails struct {
	Name           string `json:"name"`
	Number         uint16 `json:"number"`
	User           string `json:"user"`
	ConnectionName string `json:"connection_name"`
	PeerHost       string `json:"peer_host"`
	PeerPort       int    `json:"peer_port"`
	Node           string `json:"node"`
}

// DescribeConsumer makes a listing's Consumer of what a node knows of one of q, whose
// settings are s.
func DescribeConsumer(node string, q *topology.Queue, s *queue.Settings, i *connection.ConsumerInfo) Consumer {
	c := Consumer{
		Queue: QueueName{q.Name, q.VHost}, Tag: i.Tag, Timeout: "undefined", Exclusive: i.Exclusive, AckRequired: !i.NoAck,
		Prefetch: i.Prefetch, Active: true, ActivityStatus: "up", Arguments: table(i.Arguments),
		ChannelDetails: ChannelDetails{
			Name: fmt.Sprintf("%s (%d)", i.Connection.Name, i.Channel), Number: i.Channel,
			User: i.Connection.User, ConnectionName: i.Connection.Name, Node: node,
		},
	}
	c.ChannelDetails.PeerHost, c.ChannelDetails.PeerPort = hostPort(i.Connection.Peer)
	if i.Timeout > 0 {
		c.Timeout = i.Timeout.Milliseconds()
	}
	switch {
	case s.SingleActive && i.Active:
		c.ActivityStatus = "single_active"
	case s.SingleActive:
		c.Active, c.ActivityStatus = false, "waiting"
	}
	return c
}

// consumers are those of the vhost that the path names, or of all, by queue, in the
// order of their channels and tags.
func (s *Server) consumers(ctx context.Context, p params) []Consumer {
	list := []Consumer{}
	for _, raw := range s.cfg.Clients.Consumers(ctx, p["vhost"]) {
		var c Consumer
		if err := json.Unmarshal(raw, &c); err != nil {
			s.logger.Warn("a node describes a consumer in a way that this one cannot read", "error", err)
			continue
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Consumer) int {
		x, y := a.ChannelDetails, b.ChannelDetails
		return cmp.Or(cmp.Compare(a.Queue.VHost, b.Queue.VHost), cmp.Compare(a.Queue.Name, b.Queue.Name),
			cmp.Compare(x.ConnectionName, y.ConnectionName), cmp.Compare(x.Number, y.Number), cmp.Compare(a.Tag, b.Tag))
	})
	return list
}

func (s *Server) listConsumers(w http.ResponseWriter, r *http.Request, p params) {
	if !s.known(p) {
		missing(w)
		return
	}
	replyList(w, r, s.consumers(r.Context(), p))
}
