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
	TLS   []string // of AMQP with TLS, where the machine has an address of its own not on the loopback

	Certificates Certificates // for TLS
	HTTP         string       // the management API's host:port; "" on Warren
	Ctl          []string     // the environment for rabbitmqctl

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
	certs, err := newCertificates()
	if err != nil {
		return nil, nil, err
	}
	b, end, err := runRabbitMQ(ctx, certs)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(string(certs)))
	}
	return b, func() error { return errors.Join(end(), os.RemoveAll(string(certs))) }, nil
}

func runRabbitMQ(ctx context.Context, certs Certificates) (*Broker, func() error, error) {
	secure, err := outside()
	if err != nil {
		return nil, nil, err
	}
	set, err := cluster.RunRabbitMQWith(ctx, cluster.RabbitMQOptions{
		Size: 1, Plugins: Plugins(),
		Config: "collect_statistics_interval = 500\n" + // ms: what the management API tells is 5 s old else
			"listeners.ssl.default = " + secure + "\nssl_options.verify = verify_peer\nssl_options.cacertfile = " + certs.file("ca") +
			"\nssl_options.certfile = " + certs.file("server") + "\nssl_options.keyfile = " + certs.key("server") + "\n",
	})
	if err != nil {
		return nil, nil, err
	}
	n := set.Nodes[0]
	b := &Broker{
		Addrs: set.Addrs(), TLS: []string{secure}, Certificates: certs,
		HTTP: n.HTTP, Ctl: n.Environment(), clients: []*http.Client{{}},
	}
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
func StartWarren(ctx context.Context) (*Broker, func() error, *cluster.Warren, error) {
	certs, err := newCertificates()
	if err != nil {
		return nil, nil, nil, err
	}
	b, w, err := runWarren(ctx, certs)
	if err != nil {
		return nil, nil, nil, errors.Join(err, os.RemoveAll(string(certs)))
	}
	return b, func() error { return errors.Join(w.Close(), os.RemoveAll(string(certs))) }, w, nil
}

func runWarren(ctx context.Context, certs Certificates) (*Broker, *cluster.Warren, error) {
	w, err := cluster.New(cluster.Options{Args: []string{
		"--tls-verify", "peer", "--tls-ca", certs.file("ca"), "--tls-cert", certs.file("server"), "--tls-key", certs.key("server"),
	}})
	if err != nil {
		return nil, nil, err
	}
	b := &Broker{Addrs: w.Addrs(), Certificates: certs, warren: true}
	for _, n := range w.Nodes {
		secure, err := outside()
		if err != nil {
			return nil, nil, errors.Join(err, w.Close())
		}
		n.Use("--tls-listen", secure)
		b.TLS = append(b.TLS, secure)
		socket := filepath.Join(n.Dir, "warren.sock")
		b.clients = append(b.clients, &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
		}})
	}
	for _, step := range []func(context.Context) error{w.Start, w.AwaitWhole, w.AwaitHome} {
		if err := step(ctx); err != nil {
			return nil, nil, errors.Join(err, w.Close())
		}
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
