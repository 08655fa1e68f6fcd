package main

import (
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cmd/node"
)

// settle runs the server command up to its configuration.
func settle(t *testing.T, env map[string]string, args ...string) (node.Config, error) {
	t.Helper()
	var o options
	var cfg node.Config
	cmd := serverFlags(&o)
	cmd.SetArgs(args)
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err = fromEnvironment(cmd, func(key string) (string, bool) { v, ok := env[key]; return v, ok }); err != nil {
			return err
		}
		cfg, err = o.config(io.Discard)
		return err
	}
	err := cmd.Execute()
	return cfg, err
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheDefault(t *testing.T) {
	env := map[string]string{"WARREN_NAME": "env", "WARREN_LISTEN": ":1", "WARREN_SEEDS": "a:1, b:2,", "WARREN_EXPECT": "3"}
	cfg, err := settle(t, env, "--name", "flag")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "flag" || cfg.Listen != ":1" || cfg.Expect != 3 || cfg.ClusterName != "warren" || cfg.DataDir != "data/flag" {
		t.Errorf("%+v", cfg)
	}
	if want := []string{"a:1", "b:2"}; !reflect.DeepEqual(cfg.Seeds, want) {
		t.Errorf("seeds %q, want %q", cfg.Seeds, want)
	}
}

func TestDefaultsAreASingleNodeOnLoopback(t *testing.T) {
	cfg, err := settle(t, nil, "--name", "n")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Expect != 1 || cfg.Listen != ":5672" || !strings.HasPrefix(cfg.Gossip, "127.0.0.1:") || !strings.HasPrefix(cfg.Peer, "127.0.0.1:") {
		t.Errorf("%+v", cfg)
	}
	cfg, err = settle(t, nil, "--name", "n", "--secret", "0123456789abcdef")
	if err != nil || cfg.Gossip != ":7946" || cfg.Peer != ":7947" {
		t.Errorf("with a secret: %q, %q, %v", cfg.Gossip, cfg.Peer, err)
	}
}

func TestOnlyNoneLiftsTheLoopbackRestriction(t *testing.T) {
	for value, want := range map[string][]string{"none": {}, "": nil, "guest": {"guest"}, "a, b": {"a", "b"}} {
		if got := loopbackUsers(value); !reflect.DeepEqual(got, want) {
			t.Errorf("loopbackUsers(%q) = %#v, want %#v", value, got, want)
		}
	}
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"log level":      {"--log-level", "loud"},
		"log format":     {"--log-format", "xml"},
		"a missing file": {"--secret-file", "/nowhere/secret"},
	} {
		if _, err := settle(t, nil, args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := settle(t, map[string]string{"WARREN_EXPECT": "many"}); err == nil {
		t.Error("WARREN_EXPECT=many: no error")
	}
}

func TestWhatClientsMayHaveIsPassedOn(t *testing.T) {
	cfg, err := settle(t, map[string]string{"WARREN_MEMORY_WATERMARK": "2GB"}, "--name", "n", "--disk-free-limit", "1.5",
		"--max-message-size", "1MiB", "--channel-max", "0", "--frame-max", "8192", "--heartbeat", "0", "--consumer-timeout", "0",
		"--connection-max", "7", "--product-version", "4.1.0", "--delivery-count-semantics", "4.2",
		"--vhost-max", "3", "--cluster-queue-limit", "4", "--cluster-exchange-limit", "5")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Watermark != (alarm.Limit{Bytes: 2e9}) || cfg.DiskFreeLimit != (alarm.Limit{Relative: true, Fraction: 1.5}) ||
		cfg.MaxMessageBytes != 1<<20 || cfg.ChannelMax != 65535 || cfg.FrameMax != 8192 || cfg.Heartbeat >= 0 || cfg.ConsumerTimeout >= 0 ||
		cfg.MaxConnections != 7 || cfg.ProductVersion != "4.1.0" || !cfg.CountReturns ||
		cfg.ClusterLimits != (topology.Limits{VHosts: 3, Queues: 4, Exchanges: 5}) {
		t.Errorf("%+v", cfg)
	}
	for name, args := range map[string][]string{
		"a watermark":     {"--memory-watermark", "1.5"},
		"a disk limit":    {"--disk-free-limit", "much"},
		"a message size":  {"--max-message-size", "1XB"},
		"a channel count": {"--channel-max", "70000"},
		"semantics":       {"--delivery-count-semantics", "4"},
	} {
		if _, err := settle(t, nil, append(args, "--name", "n")...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestGarbageIsCollectedBeforeTheWatermark(t *testing.T) {
	for watermark, want := range map[uint64]int64{1000 << 20: 900 << 20, 1 << 20: garbageFloor, 0: garbageFloor} {
		if got := garbageLimit(watermark); got != want {
			t.Errorf("garbageLimit(%d) = %d, want %d", watermark, got, want)
		}
	}
}
