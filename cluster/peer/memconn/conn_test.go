package memconn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func connect(t *testing.T, n *Network) (near, far net.Conn) {
	t.Helper()
	l, err := n.Listen("b:1")
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	near, err = n.Dialer("a")(t.Context(), "b:1")
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return near, far
}

func readN(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("Read: %v", err)
	}
	return string(b)
}

func TestBytesArriveInOrderAfterTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.Latency("a", "b", 30*time.Millisecond)
		near, far := connect(t, n)
		start := time.Now()
		near.Write([]byte("one"))
		near.Write([]byte("two"))
		near.Close()
		if got := readN(t, far, 6); got != "onetwo" || time.Since(start) != 30*time.Millisecond {
			t.Errorf("read %q after %v, want onetwo after 30ms", got, time.Since(start))
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read after the other side's Close = %v, want EOF", err)
		}
		if _, err := far.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write after the other side's Close = %v, want EPIPE", err)
		}
	})
}

func TestCutPathHoldsBytesBackUntilItHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		near, far := connect(t, n)
		n.Cut("a", "b")
		start := time.Now()
		near.Write([]byte("late"))
		far.Write([]byte("other way"))
		if got := readN(t, near, 9); got != "other way" {
			t.Errorf("the open direction gave %q", got)
		}
		time.AfterFunc(5*time.Second, func() { n.Heal("a", "b") })
		if got := readN(t, far, 4); got != "late" || time.Since(start) != 5*time.Second {
			t.Errorf("read %q after %v, want it when the path heals", got, time.Since(start))
		}
	})
}

func TestKilledHostResetsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		near, _ := connect(t, n)
		time.AfterFunc(time.Second, func() { n.Kill("b") })
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read from a killed host = %v, want a reset", err)
		}
		if _, err := n.Dialer("a")(t.Context(), "b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial of a killed host = %v, want refused", err)
		}
		if _, err := n.Listen("b:1"); err != nil {
			t.Errorf("Listen after a kill: %v", err)
		}
	})
}

func TestVanishedHostSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		near, far := connect(t, n)
		n.Vanish("b")
		near.SetReadDeadline(time.Now().Add(time.Minute))
		far.Write([]byte("unheard"))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read from a vanished host = %v, want the deadline", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.Dialer("a")(ctx, "b:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial of a vanished host = %v, want to wait for ever", err)
		}
		n.Return("b")
		near.SetReadDeadline(time.Time{})
		if got := readN(t, near, 7); got != "unheard" {
			t.Errorf("after its return: %q", got)
		}
	})
}

func TestWriterWaitsForAFullBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		near, far := connect(t, n)
		done := make(chan int)
		go func() {
			k, _ := near.Write(make([]byte, 2*bufferBytes))
			done <- k
		}()
		synctest.Wait()
		select {
		case k := <-done:
			t.Fatalf("wrote %d bytes into a buffer of %d", k, bufferBytes)
		default:
		}
		io.CopyN(io.Discard, far, 2*bufferBytes)
		if k := <-done; k != 2*bufferBytes {
			t.Errorf("wrote %d", k)
		}
	})
}

// A writer that failed while its reader heard nothing would be no TCP: gRPC picks
// such a connection again and again without a pause.
func TestWritesFailNoSoonerThanReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.Latency("b", "a", 30*time.Millisecond)
		near, far := connect(t, n)
		far.Close()
		n.Cut("b", "a") // the end is on its way
		time.AfterFunc(5*time.Second, func() { n.Heal("b", "a") })
		for range 3 {
			if k, err := near.Write(make([]byte, bufferBytes)); k != bufferBytes || err != nil {
				t.Errorf("Write before the end arrives = %d, %v", k, err)
			}
			time.Sleep(time.Second)
		}
		if _, err := near.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read = %v, want EOF", err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write once the end is here = %v, want EPIPE", err)
		}
	})
}
