package memnet

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t testing.TB, n *Network, at string) *Transport {
	t.Helper()
	tr, err := n.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Shutdown() })
	return tr
}

// arrives sends one packet and says whether, and after which time, it came.
func arrives(t testing.TB, from, to *Transport) (time.Duration, bool) {
	t.Helper()
	start := time.Now()
	if _, err := from.WriteTo([]byte("ping"), to.Addr()); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-to.PacketCh():
		if string(p.Buf) != "ping" || p.From.String() != from.Addr() {
			t.Fatalf("got %q from %s", p.Buf, p.From)
		}
		return time.Since(start), true
	case <-time.After(time.Minute):
		return 0, false
	}
}

func reaches(t testing.TB, from, to *Transport) bool {
	t.Helper()
	_, ok := arrives(t, from, to)
	return ok
}

func TestPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := listen(t, n, "10.0.0.1:1"), listen(t, n, "10.0.0.2:1")
		c := listen(t, n, "10.0.0.3:1")
		if took, ok := arrives(t, a, b); !ok || took != 0 {
			t.Errorf("without faults: %v, %v", took, ok)
		}
		n.SetDelay(time.Second, time.Second)
		if took, ok := arrives(t, a, b); !ok || took < time.Second || took > 2*time.Second {
			t.Errorf("delayed: %v, %v", took, ok)
		}
		n.Partition([]string{"10.0.0.1"}, []string{"10.0.0.2"})
		if reaches(t, a, b) || reaches(t, b, a) {
			t.Error("a packet crossed the partition")
		}
		if !reaches(t, a, c) || !reaches(t, c, b) {
			t.Error("a host outside of the partition is cut off")
		}
		n.Heal()
		n.Cut("10.0.0.1", "10.0.0.2")
		if reaches(t, a, b) || !reaches(t, b, a) {
			t.Error("a one-way cut is not one-way")
		}
		n.Heal()
		n.SetLoss(1)
		if reaches(t, a, b) {
			t.Error("a packet survived total loss")
		}
		n.SetLoss(0)
		b.Crash()
		if reaches(t, a, b) || reaches(t, b, a) {
			t.Error("the dead speak")
		}
	})
}

func TestAnAddressIsForOneTransportAtATime(t *testing.T) {
	n := New(1)
	a := listen(t, n, "10.0.0.1:1")
	if _, err := n.Listen("10.0.0.1:1"); err == nil {
		t.Error("an address was given twice")
	}
	a.Crash()
	listen(t, n, "10.0.0.1:1")
	if _, err := n.Listen("somewhere:1"); err == nil {
		t.Error("a name was taken for an address")
	}
}

// accept takes one stream and echoes it.
func accept(t *Transport) {
	select {
	case conn := <-t.StreamCh():
		io.Copy(conn, conn)
		conn.Close()
	case <-t.closed:
	}
}

func echo(conn net.Conn, text string) (string, error) {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	buf := make([]byte, len(text))
	_, err := io.ReadFull(conn, buf)
	return string(buf), err
}

func TestStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(2 * giveUp) }) // the clock of a bubble stops with its test
		n := New(1)
		n.SetDelay(time.Second, 0)
		a, b := listen(t, n, "10.0.0.1:1"), listen(t, n, "10.0.0.2:1")
		go accept(b)
		conn, err := a.DialTimeout(b.Addr(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		from := time.Now()
		if got, err := echo(conn, "hello"); err != nil || got != "hello" || time.Since(from) != 2*time.Second {
			t.Errorf("%q, %v after %v", got, err, time.Since(from))
		}
		if conn.RemoteAddr().String() != b.Addr() || conn.LocalAddr().String() != a.Addr() {
			t.Errorf("addresses %s, %s", conn.LocalAddr(), conn.RemoteAddr())
		}
		n.Partition([]string{"10.0.0.1"}, []string{"10.0.0.2"})
		if _, err := echo(conn, "hello"); err == nil {
			t.Error("a stream crossed the partition")
		}
		n.Heal()
		if _, err := echo(conn, "hello"); err == nil {
			t.Error("a stream goes on after it lost something")
		}
	})
}

func TestDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := listen(t, n, "10.0.0.1:1"), listen(t, n, "10.0.0.2:1")
		dial := func(to string) time.Duration {
			from := time.Now()
			if conn, err := a.DialTimeout(to, 5*time.Second); err == nil {
				conn.Close()
				t.Errorf("a dial of %s succeeded", to)
			}
			return time.Since(from)
		}
		if took := dial("10.0.0.9:1"); took != 0 {
			t.Errorf("refused after %v", took)
		}
		n.Cut("10.0.0.2", "10.0.0.1")
		if took := dial(b.Addr()); took != 5*time.Second {
			t.Errorf("timed out after %v", took)
		}
		n.Heal()
		b.Crash()
		if took := dial(b.Addr()); took != 5*time.Second {
			t.Errorf("a dead machine refused after %v", took)
		}
		listen(t, n, "10.0.0.2:1").Shutdown()
		if took := dial("10.0.0.2:1"); took != 0 {
			t.Errorf("an ended process refused after %v", took)
		}
	})
}
