package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cmd/node"
)

// options are the server's settings as flags and environment give them.
type options struct {
	name, data              string
	listen, gossip, peer    string
	advertise, seeds        string
	expect                  int
	secret, secretFile      string
	zone, loopbackUsers     string
	groups, replicas        int
	rebuildAfter            time.Duration
	forgetAfter             time.Duration
	product, productVersion string
	clusterName             string
	transientBytes          uint64
	logLevel, logFormat     string

	memoryWatermark, diskFreeLimit string
	maxMessageSize                 string
	deliveryCounts                 string
	channelMax                     uint16
	frameMax                       uint32
	heartbeat, consumerTimeout     time.Duration
	connectionMax, channelsMax     int
	consumersMax, defaultPrefetch  int
	clusterLimits                  topology.Limits
	tls                            tlsOptions
}

func serverCommand() *cobra.Command {
	var o options
	cmd := serverFlags(&o)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := fromEnvironment(cmd, os.LookupEnv); err != nil {
			return err
		}
		cfg, err := o.config(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		return node.Run(cmd.Context(), cfg)
	}
	return cmd
}

// serverFlags is the command without what it does.
func serverFlags(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a node; without any setting, a good single-node broker",
		Long: `Run a node; without any setting, a good single-node broker.

Each flag is also an environment variable: --secret-file is WARREN_SECRET_FILE.
A flag wins over the environment, the environment over the default.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "the node's name, stable and unique in the cluster (default: the host's name)")
	f.StringVar(&o.data, "data", "", "data folder (default: data/<name>)")
	f.StringVar(&o.listen, "listen", ":5672", "address for AMQP clients")
	f.StringVar(&o.gossip, "gossip", "", "address for gossip between nodes (default: 127.0.0.1:7946, with a secret :7946)")
	f.StringVar(&o.peer, "peer", "", "address for RPC between nodes (default: 127.0.0.1:7947, with a secret :7947)")
	f.StringVar(&o.advertise, "advertise", "", "host that other nodes reach this one at (default: found)")
	f.StringVar(&o.seeds, "seeds", "", "where other nodes' gossip is found: host:port, DNS names or file:/path, comma separated")
	f.IntVar(&o.expect, "expect", 1, "how many fresh nodes form the cluster together; 0: only ever join one")
	f.StringVar(&o.secret, "secret", "", "secret of the cluster, at least 16 bytes; without one nodes speak over loopback only")
	f.StringVar(&o.secretFile, "secret-file", "", "file that holds the secret")
	f.StringVar(&o.zone, "zone", "", "failure zone: replicas are spread over zones")
	f.IntVar(&o.groups, "groups-per-node", 4, "queue groups that a node brings; the same on all nodes")
	f.IntVar(&o.replicas, "replicas", 3, "replicas of a queue group that no queue asks another number for; the same on all nodes")
	f.DurationVar(&o.rebuildAfter, "rebuild-after", 10*time.Minute, "how long a node may be down until its replicas are made elsewhere; 0: for ever")
	f.DurationVar(&o.forgetAfter, "forget-after", 0, "how long a node may be down until the cluster forgets it, as forget_cluster_node does; 0: for ever")
	f.StringVar(&o.loopbackUsers, "loopback-users", "guest", "users that may connect from this machine only, comma separated; none lifts it")
	f.StringVar(&o.product, "product", "RabbitMQ", "product name that clients are told")
	f.StringVar(&o.productVersion, "product-version", "4.2.0", "version of the product that clients are told")
	f.StringVar(&o.clusterName, "cluster-name", "warren", "cluster name that clients are told")
	f.Uint64Var(&o.transientBytes, "transient-bytes", 1<<30, "memory for messages of queues that are not durable; beyond it their publishers wait")
	f.StringVar(&o.memoryWatermark, "memory-watermark", "0.6", "memory beyond which publishers wait: a part of what the node may use, or a size as in 2GB")
	f.StringVar(&o.diskFreeLimit, "disk-free-limit", "50MB", "free disk below which publishers wait, 192 MiB at the least: a size, or a multiple of the memory as in 1.0; 0: no limit")
	f.StringVar(&o.maxMessageSize, "max-message-size", "16MiB", "the largest message that is taken")
	f.Uint16Var(&o.channelMax, "channel-max", 2047, "channels of a connection; 0: 65535")
	f.Uint32Var(&o.frameMax, "frame-max", 131072, "bytes of a frame")
	f.DurationVar(&o.heartbeat, "heartbeat", time.Minute, "heartbeat that clients are asked for; 0: none")
	f.DurationVar(&o.consumerTimeout, "consumer-timeout", 30*time.Minute, "how long a delivery may stay unanswered; 0: for ever")
	f.IntVar(&o.connectionMax, "connection-max", 50_000, "connections of this node")
	f.IntVar(&o.channelsMax, "channel-max-per-node", 0, "channels of all connections of this node; 0: no limit")
	f.IntVar(&o.consumersMax, "consumer-max-per-channel", 0, "consumers of a channel; 0: no limit")
	f.Uint64Var(&o.clusterLimits.VHosts, "vhost-max", 0, "virtual hosts of the cluster; 0: no limit; the same on all nodes")
	f.Uint64Var(&o.clusterLimits.Queues, "cluster-queue-limit", 0, "queues of the cluster; 0: no limit; the same on all nodes")
	f.Uint64Var(&o.clusterLimits.Exchanges, "cluster-exchange-limit", 0, "exchanges of the cluster, with the predeclared ones; 0: no limit; the same on all nodes")
	f.IntVar(&o.defaultPrefetch, "default-prefetch", 0, "prefetch of channels whose clients set none; 0: none")
	o.tls.flags(f)
	f.StringVar(&o.deliveryCounts, "delivery-count-semantics", "4.3", "which returns count against delivery limits: those that were rejected (4.3), or all (4.2); the same on all nodes")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	return cmd
}

// fromEnvironment fills in the flags that were not given.
func fromEnvironment(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		key := "WARREN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := lookup(key); ok && !f.Changed {
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
		}
	})
	return errors.Join(errs...)
}

// config turns the options into a node's configuration.
func (o *options) config(logs io.Writer) (cfg node.Config, err error) {
	logger, err := newLogger(logs, o.logLevel, o.logFormat)
	if err != nil {
		return cfg, err
	}
	if o.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return cfg, fmt.Errorf("no --name, and the host has none: %w", err)
		}
		o.name, _, _ = strings.Cut(host, ".")
	}
	if o.data == "" {
		o.data = filepath.Join("data", o.name)
	}
	secret := o.secret
	if o.secretFile != "" {
		b, err := os.ReadFile(o.secretFile)
		if err != nil {
			return cfg, fmt.Errorf("secret file: %w", err)
		}
		secret = string(b)
	}
	host := "127.0.0.1"
	if secret != "" {
		host = ""
	}
	orElse(&o.gossip, host+":"+strconv.Itoa(7946))
	orElse(&o.peer, host+":"+strconv.Itoa(7947))
	files, err := o.tls.files()
	if err != nil {
		return cfg, err
	}
	cfg = node.Config{
		Name: o.name, DataDir: o.data, Version: version,
		Listen: o.listen, TLSListen: o.tls.listen, TLS: files, Gossip: o.gossip, Peer: o.peer, Advertise: o.advertise,
		Seeds: list(o.seeds), Expect: o.expect, Secret: secret, Zone: o.zone,
		LoopbackUsers: loopbackUsers(o.loopbackUsers),
		Product:       o.product, ProductVersion: o.productVersion, ClusterName: o.clusterName,
		TransientBytes: o.transientBytes,
		ChannelMax:     o.channelMax, FrameMax: o.frameMax,
		Heartbeat: orNever(o.heartbeat), ConsumerTimeout: orNever(o.consumerTimeout),
		MaxConnections: o.connectionMax, MaxChannels: o.channelsMax, MaxConsumers: o.consumersMax, Prefetch: o.defaultPrefetch,
		ClusterLimits: o.clusterLimits,
		GroupsPerNode: o.groups, Replicas: o.replicas, RebuildAfter: orNever(o.rebuildAfter), ForgetAfter: o.forgetAfter,
		MemoryLimit: collectBefore,
		Logger:      logger,
	}
	return cfg, o.sizes(&cfg)
}

// sizes reads what is given as a size or a word.
func (o *options) sizes(cfg *node.Config) (err error) {
	if cfg.Watermark, err = alarm.ParseWatermark(o.memoryWatermark); err != nil {
		return fmt.Errorf("--memory-watermark: %w", err)
	}
	if cfg.DiskFreeLimit, err = alarm.ParseDiskFreeLimit(o.diskFreeLimit); err != nil {
		return fmt.Errorf("--disk-free-limit: %w", err)
	}
	if cfg.MaxMessageBytes, err = alarm.ParseBytes(o.maxMessageSize); err != nil {
		return fmt.Errorf("--max-message-size: %w", err)
	}
	switch o.deliveryCounts {
	case "4.3":
	case "4.2":
		cfg.CountReturns = true
	default:
		return fmt.Errorf("--delivery-count-semantics %q: want 4.3 or 4.2, versions of RabbitMQ", o.deliveryCounts)
	}
	if cfg.ChannelMax == 0 {
		cfg.ChannelMax = math.MaxUint16
	}
	return nil
}

// orNever: a duration of 0 is one that never ends, which a node calls negative.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func orElse(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func list(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// loopbackUsers: only the word none lifts the restriction.
func loopbackUsers(s string) []string {
	switch s {
	case "none":
		return []string{}
	case "":
		return nil // the default
	}
	return append([]string{}, list(s)...)
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log format %q: want text or json", format)
}
