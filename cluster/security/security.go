// Package security turns the one secret of a cluster into everything that keeps
// strangers out of it: the key of the gossip, a certificate authority that every
// node can compute for itself, and from that mutual TLS between nodes.
//
// It holds no sockets and no goroutines, and it is not about clients: users and
// passwords are the business of broker/auth. Its promise: whoever does not know
// the secret (or, with own certificates, holds none of the operator's authority)
// cannot finish a handshake with a node, and a node that does finish one is the
// node it says it is. Without a secret nothing but loopback may be listened on.
package security

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// MinSecretBytes is the shortest secret that is taken. HKDF is fast by design and
// one captured gossip packet is enough to test guesses against, so a secret has
// to be random, not a word.
const MinSecretBytes = 16

// gossipKeyBytes selects AES-256 in memberlist.
const gossipKeyBytes = 32

// ErrSecret is wrapped by New when the secret cannot be used.
var ErrSecret = errors.New("unusable cluster secret")

// Keys is what is derived from a cluster's secret: equal secrets give equal keys
// on every node, and no key tells anything about another. It is immutable and
// safe for concurrent use.
type Keys struct {
	gossip []byte
	caKey  ed25519.PrivateKey
	ca     *x509.Certificate
	own    *ownFiles // nil: node certificates are signed by ca
}

// New derives the keys from a secret. White space around it is ignored, so that a
// secret read from a file may end in a newline.
func New(secret string) (*Keys, error) {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrSecret)
	}
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("%w: %d bytes, at least %d are needed (openssl rand -hex 32 makes a good one)",
			ErrSecret, len(secret), MinSecretBytes)
	}
	gossip, err := derive(secret, "gossip", gossipKeyBytes)
	if err != nil {
		return nil, err
	}
	seed, err := derive(secret, "certificate authority", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	caKey := ed25519.NewKeyFromSeed(seed)
	ca, err := authority(caKey)
	if err != nil {
		return nil, err
	}
	return &Keys{gossip: gossip, caKey: caKey, ca: ca}, nil
}

// GossipKey returns the AES-256 key that encrypts the gossip.
func (k *Keys) GossipKey() []byte { return bytes.Clone(k.gossip) }

// String keeps the keys out of logs.
func (k *Keys) String() string { return "security.Keys(redacted)" }

// derive separates the uses of the secret by their names; the version in the
// label is raised when what a key is used for changes meaning.
func derive(secret, use string, size int) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), []byte("warren"), "warren v1 "+use, size)
	if err != nil {
		return nil, fmt.Errorf("derive the %s key: %w", use, err)
	}
	return key, nil
}
