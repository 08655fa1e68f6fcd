package membership

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// socketNode runs a member on 127.0.0.1.
func socketNode(tb testing.TB, name string, digit byte, seeds ...string) (m *Membership, stop func()) {
	tb.Helper()
	m, err := New(Config{
		Name: name, Incarnation: incarnation(digit), Epoch: 1,
		BindAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:1", Seeds: seeds, Key: testKey,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	stop = run(tb, m)
	<-m.Started()
	return m, stop
}

// await returns when m's members satisfy cond. It is told of every change.
func await(tb testing.TB, m *Membership, what string, cond func(alive map[string]Member) bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	changed := make(chan struct{}, 1)
	defer m.Watch(func(Event) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for {
		alive := make(map[string]Member)
		for _, member := range m.Members() {
			if member.Alive {
				alive[member.Name] = member
			}
		}
		if cond(alive) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("%s: never; members are %+v", what, m.Members())
		}
	}
}

// socketTrio starts three that know each other.
func socketTrio(tb testing.TB) (nodes []*Membership, stops []func()) {
	first, stop := socketNode(tb, "alpha", 'a')
	nodes, stops = []*Membership{first}, []func(){stop}
	seed := first.table.me().GossipAddr
	for i, name := range []string{"beta", "gamma"} {
		m, stop := socketNode(tb, name, byte('b'+i), seed)
		nodes, stops = append(nodes, m), append(stops, stop)
	}
	for _, m := range nodes {
		await(tb, m, "three members", func(alive map[string]Member) bool { return len(alive) == 3 })
	}
	return nodes, stops
}

func TestRealSockets(t *testing.T) {
	nodes, stops := socketTrio(t)
	stops[2]()
	await(t, nodes[0], "a farewell", func(alive map[string]Member) bool { return len(alive) == 2 })

	// A restart of the process: another port, the next epoch.
	again := nodes[2].cfg
	again.Epoch = 2
	m, err := New(again)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, m)
	for _, n := range nodes[:2] {
		await(t, n, "the second start", func(alive map[string]Member) bool { return alive["gamma"].Epoch == 2 })
	}
	stop()
}

func TestABusyPortIsToldInOneLine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := validConfig()
	cfg.BindAddr = ln.Addr().String()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = m.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "address already in use") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("Run on a busy port: %v", err)
	}
	t.Log(err)
}

// A peer that accepts and says nothing must not hold up the stop.
func TestAStopDoesNotWaitForASilentSeed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan struct{})
	go func() {
		if conn, err := ln.Accept(); err == nil {
			defer conn.Close()
			close(accepted)
			<-t.Context().Done()
		}
	}()
	_, stop := socketNode(t, "alpha", 'a', ln.Addr().String())
	<-accepted
	from := time.Now()
	stop()
	if took := time.Since(from); took > streamTimeout/2 {
		t.Errorf("the stop took %v", took)
	}
}

// BenchmarkIdle tells what three members that have nothing to do cost together.
// Run it with -benchtime=1x: an iteration is 15 s.
func BenchmarkIdle(b *testing.B) {
	socketTrio(b)
	for b.Loop() {
		const window = 15 * time.Second
		from := cpu(b)
		<-time.After(window)
		used := cpu(b) - from
		b.ReportMetric(100*float64(used)/float64(window)/3, "%core/member")
	}
}

// cpu is the processor time of this process so far.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(fmt.Errorf("getrusage: %w", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
