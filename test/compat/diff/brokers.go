package diff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/warrenmq/warren/test/cluster"
)

// Broker is where scenarios are run.
type Broker struct {
	Addrs []string // of AMQP
	HTTP  string   // the management API's host:port; "" on Warren
	Ctl   []string // the environment for rabbitmqctl

	warren  bool
	clients []*http.Client // of each node
}

// Plugins is what RabbitMQ runs with; all of them come with Debian's package.
func Plugins() []string {
	return []string{
		"rabbitmq_management", "rabbitmq_consistent_hash_exchange", "rabbitmq_random_exchange",
		"rabbitmq_recent_history_exchange", "rabbitmq_sharding",
	}
}

// StartRabbitMQ starts one node, with everything as it is by default. A node
// that runs already is used instead when its description's file is named by
// WARREN_COMPAT_RABBITMQ: see the command test/compat/rabbitmq.
func StartRabbitMQ(ctx context.Context) (*Broker, func() error, error) {
	if file := os.Getenv("WARREN_COMPAT_RABBITMQ"); file != "" {
		b, err := os.ReadFile(file)
		var running Broker
		if err == nil {
			err = json.Unmarshal(b, &running)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("WARREN_COMPAT_RABBITMQ: %w", err)
		}
		running.clients = []*http.Client{{}}
		return &running, func() error { return nil }, running.checkVersion(ctx)
	}
	set, err := cluster.RunRabbitMQWith(ctx, cluster.RabbitMQOptions{
		Size: 1, Plugins: Plugins(),
		Config: "collect_statistics_interval = 500\n", // ms: what the management API tells is 5 s old else
	})
	if err != nil {
		return nil, nil, err
	}
	n := set.Nodes[0]
	b := &Broker{Addrs: set.Addrs(), HTTP: n.HTTP, Ctl: n.Environment(), clients: []*http.Client{{}}}
	if err := b.checkVersion(ctx); err != nil {
		return nil, nil, errors.Join(err, set.Close())
	}
	return b, set.Close, nil
}

// reference is the release whose answers the scenarios' deltas start from.
const reference = "3.10."

// checkVersion refuses a RabbitMQ that the scenarios were not written beside:
// every Delta would be wrong.
func (b *Broker) checkVersion(ctx context.Context) error {
	s := &S{ctx: ctx, broker: b}
	var answer struct {
		Version string `json:"rabbitmq_version"`
	}
	return s.guard(func() error {
		_, body := s.request(http.MethodGet, "/api/overview", nil)
		if err := json.Unmarshal(body, &answer); err != nil {
			return fmt.Errorf("RabbitMQ's overview: %w", err)
		}
		if !strings.HasPrefix(answer.Version, reference) {
			return fmt.Errorf("this is RabbitMQ %s; the scenarios are written beside Debian 12's %sx", answer.Version, reference)
		}
		return nil
	})
}

// StartWarren starts three nodes.
func StartWarren(ctx context.Context) (*Broker, *cluster.Warren, error) {
	w, err := cluster.Run(ctx, cluster.Options{})
	if err != nil {
		return nil, nil, err
	}
	b := &Broker{Addrs: w.Addrs(), warren: true}
	for _, n := range w.Nodes {
		socket := filepath.Join(n.Dir, "warren.sock")
		b.clients = append(b.clients, &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
		}})
	}
	return b, w, nil
}

// Save describes a running RabbitMQ in a file for other processes.
func (b *Broker) Save(file string) error {
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return fmt.Errorf("describe the broker: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("describe the broker: %w", err)
	}
	return nil
}
