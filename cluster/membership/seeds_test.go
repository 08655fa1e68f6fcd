package membership

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dns is a Resolve of fixed names.
func dns(names map[string][]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		var ips []netip.Addr
		for _, s := range names[host] {
			ips = append(ips, netip.MustParseAddr(s))
		}
		if ips == nil {
			return nil, errors.New("no such host")
		}
		return ips, nil
	}
}

func validConfig() Config {
	return Config{Name: "alpha", Incarnation: incarnation('a'), Epoch: 1, BindAddr: "127.0.0.1:7946"}
}

func TestSeedsAreResolved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seeds")
	if err := os.WriteFile(file, []byte("# the cluster\n10.1.0.1:9000 # one\n\n  warren\nfile:/etc/passwd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := validConfig()
	cfg.Resolve = dns(map[string][]string{"warren": {"10.0.0.2", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1"}})
	for name, c := range map[string]struct {
		seeds []string
		want  []string
		fails bool
	}{
		"an address":                    {[]string{"10.0.0.1:9000"}, []string{"10.0.0.1:9000"}, false},
		"the port of the gossip":        {[]string{"10.0.0.1"}, []string{"10.0.0.1:7946"}, false},
		"IPv6 in its spellings":         {[]string{"fd00::1", "[fd00::2]", "[fd00::3]:9000"}, []string{"[fd00::1]:7946", "[fd00::2]:7946", "[fd00::3]:9000"}, false},
		"all addresses of a name, once": {[]string{"warren:9000"}, []string{"10.0.0.1:9000", "10.0.0.2:9000", "[fd00::1]:9000"}, false},
		"a file":                        {[]string{"file:" + file}, []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.1.0.1:9000", "[fd00::1]:7946"}, false},
		"what works beside what fails":  {[]string{"nobody", "10.0.0.1", "file:/nowhere"}, []string{"10.0.0.1:7946"}, true},
		"nothing":                       {nil, nil, false},
	} {
		cfg := cfg
		cfg.Seeds = c.seeds
		m, err := New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := m.resolveSeeds(t.Context())
		if !slices.Equal(got, c.want) || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestSeedsAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seeds")
	if err := os.WriteFile(file, []byte(strings.Repeat("10.0.0.1\n10.0.0.2\n", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := validConfig()
	cfg.Seeds = []string{"file:" + file}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := m.resolveSeeds(t.Context()); len(got) > maxSeedAddrs {
		t.Errorf("%d addresses", len(got))
	}
}

func TestWrongConfigurationsAreToldAtStart(t *testing.T) {
	if _, err := New(validConfig()); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, spoil := range map[string]func(*Config){
		"no name":                         func(c *Config) { c.Name = "" },
		"a name with @":                   func(c *Config) { c.Name = "a@b" },
		"no incarnation":                  func(c *Config) { c.Incarnation = "" },
		"a key of odd length":             func(c *Config) { c.Key = []byte("short") },
		"no address":                      func(c *Config) { c.BindAddr = "" },
		"an address without port":         func(c *Config) { c.BindAddr = "127.0.0.1" },
		"all interfaces without a key":    func(c *Config) { c.BindAddr = "0.0.0.0:7946" },
		"no host without a key":           func(c *Config) { c.BindAddr = ":7946" },
		"advertised beyond without a key": func(c *Config) { c.AdvertiseAddr = "10.0.0.1" },
		"a seed without host":             func(c *Config) { c.Seeds = []string{":7946"} },
		"a seed with a wrong port":        func(c *Config) { c.Seeds = []string{"a:70000"} },
		"a seed that is a URL":            func(c *Config) { c.Seeds = []string{"amqp://a:5672"} },
		"a seed file without name":        func(c *Config) { c.Seeds = []string{"file:"} },
		"a zone that is too long to tell": func(c *Config) { c.Zone = strings.Repeat("z", 300) },
		"too much with the cluster id to be": func(c *Config) {
			c.Zone, c.Version = strings.Repeat("z", 240), strings.Repeat("v", 240)
		},
	} {
		cfg := validConfig()
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
