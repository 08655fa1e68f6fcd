package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrUntrusted is wrapped when a peer's certificate does not come from this
// cluster's authority: it was started with another secret, or with none.
var ErrUntrusted = errors.New("peer does not share this cluster's secret")

// NodeTLS returns the two sides of mutual TLS 1.3 for the node serverID. Both
// verify that the other's certificate comes from the cluster's authority, so a
// connection by the client side may end at any node of the cluster; Expect
// narrows it to one. The certificate is made by this call.
func (k *Keys) NodeTLS(serverID string) (server, client *tls.Config, err error) {
	pair, err := k.pairs(serverID)
	if err != nil {
		return nil, nil, err
	}
	server = &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return pair().cert, nil
		},
		// The chain is verified below and not by crypto/tls, so that an operator
		// reads the same plain sentence on both sides.
		ClientAuth:             tls.RequireAnyClientCert,
		VerifyConnection:       chainVerifier(pair, x509.ExtKeyUsageClientAuth),
		SessionTicketsDisabled: true, // connections are few and long
	}
	client = &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return pair().cert, nil
		},
		// Nodes are known by ServerID, not by host name: VerifyConnection takes
		// the place of the host name check, and of the chain check that
		// InsecureSkipVerify switches off with it.
		InsecureSkipVerify: true,
		VerifyConnection:   chainVerifier(pair, x509.ExtKeyUsageServerAuth),
	}
	return server, client, nil
}

// pairs says what a handshake uses: what was made once for serverID, or what the
// operator's files hold now.
func (k *Keys) pairs(serverID string) (func() *credentials, error) {
	if k.own != nil {
		return k.own.latest, nil
	}
	cert, err := k.issue(serverID)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(k.ca)
	made := &credentials{cert: cert, roots: roots}
	return func() *credentials { return made }, nil
}

// Expect returns client narrowed to one peer: a handshake with any other node of
// the cluster fails with ErrIdentity.
func Expect(client *tls.Config, serverID string) *tls.Config {
	narrowed := client.Clone()
	chain := client.VerifyConnection
	narrowed.VerifyConnection = func(state tls.ConnectionState) error {
		if err := chain(state); err != nil {
			return err
		}
		return CheckPeer(state, serverID)
	}
	return narrowed
}

// chainVerifier checks that the peer's certificate was issued, for this use, by
// one of the pair's authorities. crypto/tls has by then proven that the peer holds its key.
func chainVerifier(pair func() *credentials, usage x509.ExtKeyUsage) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		leaf, err := peerLeaf(state)
		if err != nil {
			return err
		}
		intermediates := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			intermediates.AddCert(c)
		}
		_, err = leaf.Verify(x509.VerifyOptions{
			Roots:         pair().roots,
			Intermediates: intermediates,
			KeyUsages:     []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		return nil
	}
}
