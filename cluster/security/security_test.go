package security

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const secret = "0123456789abcdef0123456789abcdef"

func newKeys(t testing.TB, secret string) *Keys {
	t.Helper()
	k, err := New(secret)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return k
}

func TestEveryNodeDerivesTheSameKeys(t *testing.T) {
	a, b := newKeys(t, secret), newKeys(t, "  "+secret+"\n")
	if !bytes.Equal(a.GossipKey(), b.GossipKey()) || len(a.GossipKey()) != 32 {
		t.Fatalf("gossip keys %x and %x, want two equal ones of 32 bytes", a.GossipKey(), b.GossipKey())
	}
	if !bytes.Equal(a.ca.Raw, b.ca.Raw) {
		t.Fatal("the same secret gave two authorities")
	}
}

func TestAnotherSecretSharesNothing(t *testing.T) {
	a, b := newKeys(t, secret), newKeys(t, secret+"!")
	if bytes.Equal(a.GossipKey(), b.GossipKey()) || a.caKey.Equal(b.caKey) {
		t.Fatal("two secrets gave a common key")
	}
	if bytes.Contains(a.caKey.Seed(), a.GossipKey()) {
		t.Fatal("one use of the secret gives away another")
	}
}

func TestUnusableSecretsAreRefused(t *testing.T) {
	for _, s := range []string{"", "   ", "short", "fifteen bytes.."} {
		if _, err := New(s); !errors.Is(err, ErrSecret) {
			t.Errorf("New(%q) = %v, want ErrSecret", s, err)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	if s := newKeys(t, secret).String(); !strings.Contains(s, "redacted") {
		t.Fatalf("String() = %q", s)
	}
}

func TestWithoutSecretOnlyLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:7946":        true,
		"127.8.4.1":             true,
		"[::1]:7946":            true,
		"[::ffff:127.0.0.1]:80": true,
		"localhost:7946":        true,
		"":                      false,
		":7946":                 false,
		"0.0.0.0:7946":          false,
		"[::]:7946":             false,
		"10.1.2.3:7946":         false,
		"localhost.evil:7946":   false,
		"broker-0:7946":         false,
	} {
		err := RequireLoopback(addr)
		if (err == nil) != ok || (err != nil && !errors.Is(err, ErrNotLoopback)) {
			t.Errorf("RequireLoopback(%q) = %v, want allowed %v", addr, err, ok)
		}
	}
}
