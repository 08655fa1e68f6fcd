package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrIdentity is wrapped when a peer's certificate is not that of the node it
// claims to be or that was dialled.
var ErrIdentity = errors.New("peer is not who it should be")

// A node's ServerID stands in its certificate as warren://node/<ServerID>.
const (
	identityScheme = "warren"
	identityHost   = "node"
)

func identityURI(serverID string) *url.URL {
	return &url.URL{Scheme: identityScheme, Host: identityHost, Path: "/" + serverID}
}

// PeerID returns the ServerID in the certificate of a connection's other side.
// Certificates of an operator's own authority usually hold none, because the
// incarnation is not known to whoever makes them: for these it is an error, and
// CheckPeer is the question to ask.
func PeerID(state tls.ConnectionState) (string, error) {
	leaf, err := peerLeaf(state)
	if err != nil {
		return "", err
	}
	if id, ok := certificateID(leaf); ok {
		return id, nil
	}
	return "", fmt.Errorf("%w: its certificate names no Warren node", ErrIdentity)
}

// CheckPeer says whether the certificate of the other side entitles it to be
// serverID: by the ServerID in it or, with an operator's own certificates, by a
// DNS name in it that covers the node's name (the part before the @).
func CheckPeer(state tls.ConnectionState, serverID string) error {
	leaf, err := peerLeaf(state)
	if err != nil {
		return err
	}
	if id, ok := certificateID(leaf); ok {
		if id != serverID {
			return fmt.Errorf("%w: its certificate is that of %s, expected %s", ErrIdentity, id, serverID)
		}
		return nil
	}
	name, _, _ := strings.Cut(serverID, "@")
	if err := leaf.VerifyHostname(name); err != nil {
		return fmt.Errorf("%w: its certificate does not cover node name %q: %w", ErrIdentity, name, err)
	}
	return nil
}

func peerLeaf(state tls.ConnectionState) (*x509.Certificate, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, fmt.Errorf("%w: it showed no certificate", ErrIdentity)
	}
	return state.PeerCertificates[0], nil
}

// certificateID finds the ServerID. The first Warren URI decides: issue writes
// exactly one.
func certificateID(leaf *x509.Certificate) (string, bool) {
	for _, u := range leaf.URIs {
		id := strings.TrimPrefix(u.Path, "/")
		if u.Scheme == identityScheme && u.Host == identityHost && id != "" {
			return id, true
		}
	}
	return "", false
}
