package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"

	amqp "github.com/rabbitmq/amqp091-go"
)

// publish sends one message and wants it confirmed.
func (c *client) publish(exchange, key string, p amqp.Publishing) {
	c.Helper()
	same(c, "confirmed", c.tried(exchange, key, p), true)
}

// tried sends one message and tells whether it was taken.
func (c *client) tried(exchange, key string, p amqp.Publishing) bool {
	c.Helper()
	ch := c.here()
	c.must(ch.Confirm(false))
	d, err := ch.PublishWithDeferredConfirm(exchange, key, false, false, p)
	c.must(err)
	ctx, cancel := context.WithTimeout(c.Context(), waitLimit)
	defer cancel()
	ok, err := d.WaitContext(ctx)
	c.must(err)
	return ok
}

func (c *client) consume(ch *amqp.Channel, q string, prefetch int) <-chan amqp.Delivery {
	c.Helper()
	c.must(ch.Qos(prefetch, 0, false))
	ds, err := ch.Consume(q, "", false, false, false, false, nil)
	c.must(err)
	return ds
}

// pending counts the messages of a queue that are not gone yet, as its listing has them.
func (c *client) pending(q string) int {
	c.Helper()
	_, body := c.request(http.MethodGet, "/api/queues/%2F/"+q, nil)
	var listed struct {
		DeadLetters int `json:"messages_dlx"`
	}
	c.must(json.Unmarshal(body, &listed))
	return listed.DeadLetters
}

// api makes a request of the management API and gives the status, and of an error what is told.
func (c *client) api(method, path string, body any) string {
	c.Helper()
	status, answer := c.request(method, path, body)
	if status < 400 {
		return fmt.Sprint(status)
	}
	var told struct{ Error, Reason string }
	c.must(json.Unmarshal(answer, &told))
	return fmt.Sprint(status, " ", told.Error, " ", told.Reason)
}

func (c *client) request(method, path string, body any) (status int, answer []byte) {
	c.Helper()
	socket := filepath.Join(c.node.Dir, "warren.sock")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	var in bytes.Buffer
	if body != nil {
		c.must(json.NewEncoder(&in).Encode(body))
	}
	req, err := http.NewRequestWithContext(c.Context(), method, "http://warren"+path, &in)
	c.must(err)
	req.SetBasicAuth("guest", "guest")
	resp, err := (&http.Client{Transport: transport, Timeout: waitLimit}).Do(req)
	c.must(err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	c.must(err)
	return resp.StatusCode, answer
}
