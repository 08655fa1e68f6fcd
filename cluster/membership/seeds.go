package membership

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	seedFilePrefix   = "file:"
	maxSeedFileBytes = 64 << 10
	maxSeedAddrs     = 256 // addresses contacted in one round; further ones are not
	resolveTimeout   = 3 * time.Second
)

// validateSeed says at start what is wrong with a seed for good.
func validateSeed(seed string) error {
	if path, ok := strings.CutPrefix(seed, seedFilePrefix); ok {
		if path == "" {
			return errors.New(`seed "file:" names no file`)
		}
		return nil // the file may come later
	}
	if _, _, err := splitSeed(seed, "1"); err != nil {
		return fmt.Errorf("seed %q: %w", seed, err)
	}
	return nil
}

// splitSeed takes host:port or host apart; IPv6 addresses need their brackets only
// with a port.
func splitSeed(seed, defaultPort string) (host, port string, err error) {
	host, port = strings.Trim(seed, "[]"), defaultPort
	if _, err := netip.ParseAddr(host); err != nil && strings.Contains(seed, ":") {
		if host, port, err = net.SplitHostPort(seed); err != nil {
			return "", "", err
		}
	}
	if host == "" || strings.ContainsAny(host, " \t/@") {
		return "", "", errors.New("want host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%q is not a port", port)
	}
	return host, port, nil
}

// resolveSeeds returns the addresses (ip:port) that the seeds stand for now, and
// what could not be found out. It is bounded by maxSeedAddrs and by ctx.
func (m *Membership) resolveSeeds(ctx context.Context) ([]string, error) {
	var addrs []string
	var errs []error
	for _, seed := range m.cfg.Seeds {
		lines := []string{seed}
		if path, ok := strings.CutPrefix(seed, seedFilePrefix); ok {
			var err error
			if lines, err = readSeedFile(path); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		for _, line := range lines {
			found, err := m.resolveSeed(ctx, line)
			if err != nil {
				errs = append(errs, fmt.Errorf("seed %q: %w", line, err))
			}
			addrs = append(addrs, found...)
			if len(addrs) >= maxSeedAddrs {
				return addrs[:maxSeedAddrs], errors.Join(errs...)
			}
		}
	}
	slices.Sort(addrs)
	return slices.Compact(addrs), errors.Join(errs...)
}

func (m *Membership) resolveSeed(ctx context.Context, seed string) ([]string, error) {
	port, portErr := m.cfg.bindPort()
	host, port, err := splitSeed(seed, port)
	if err != nil {
		return nil, errors.Join(err, portErr)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{net.JoinHostPort(ip.Unmap().String(), port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := m.cfg.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(ips))
	for i, ip := range ips {
		addrs[i] = net.JoinHostPort(ip.Unmap().String(), port)
	}
	return addrs, nil
}

// readSeedFile reads one seed a line; # begins a comment.
func readSeedFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("seed file: %w", err)
	}
	defer f.Close()
	var seeds []string
	lines := bufio.NewScanner(io.LimitReader(f, maxSeedFileBytes))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, seedFilePrefix) {
			seeds = append(seeds, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("seed file %s: %w", path, err)
	}
	return seeds, nil
}

// lookup is the Resolve of a Config that has none.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
