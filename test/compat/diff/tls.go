package diff

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/warrenmq/warren/broker/wire"
	"github.com/warrenmq/warren/test/cluster"
)

// Secure connects with TLS, to the machine's own address on its network where it
// has one: for the broker this client is not on the loopback.
func Secure() Option {
	return func(l *login) { l.tls = &tls.Config{}; l.tell("with TLS") }
}

// Greeting is how a client begins TLS.
type Greeting struct {
	Version     uint16 // of crypto/tls, this one alone; 0: the broker's choice
	Certificate string // "client" or, of an authority that the broker does not know, "stranger"; "": none
}

// Greet goes as far as the first octets of AMQP over TLS, and records the
// version that was agreed on, or that the broker refused.
func (s *S) Greet(g Greeting) {
	cfg := &tls.Config{MinVersion: g.Version, MaxVersion: g.Version}
	if g.Version == 0 {
		cfg.MinVersion = tls.VersionTLS10
	}
	what := "any version"
	if g.Version != 0 {
		what = tls.VersionName(g.Version)
	}
	if g.Certificate != "" {
		pair, err := s.broker.Certificates.pair(g.Certificate)
		if err != nil {
			s.stop("%v", err)
		}
		// a server need not ask for a certificate of an authority that it does not know
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		what += ", certificate: " + g.Certificate
	}
	agreed, err := s.greet(cfg)
	if err != nil {
		agreed = "refused"
	}
	s.Record("TLS, %s: %s", what, agreed)
}

func (s *S) greet(cfg *tls.Config) (agreed string, err error) {
	conn, err := s.dialTLS(s.first, cfg)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, wire.ProtocolHeader); err != nil {
		return "", fmt.Errorf("send AMQP's header: %w", err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // TLS 1.3 tells of a certificate's refusal here
		return "", fmt.Errorf("read connection.start: %w", err)
	}
	return tls.VersionName(conn.ConnectionState().Version), nil
}

// dialTLS opens a socket for TLS and trusts the broker's authority.
func (s *S) dialTLS(node int, cfg *tls.Config) (*tls.Conn, error) {
	ca, err := os.ReadFile(s.broker.Certificates.file("ca"))
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	cfg = cfg.Clone()
	cfg.RootCAs, cfg.ServerName = x509.NewCertPool(), "localhost"
	cfg.RootCAs.AppendCertsFromPEM(ca)
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: answerLimit}, Config: cfg}
	conn, err := d.DialContext(s.ctx, "tcp", s.broker.TLS[node%len(s.broker.TLS)])
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return conn.(*tls.Conn), nil
}

// outside is a free address of this machine in its network, or of the loopback
// where it is in none.
func outside() (string, error) {
	free, err := cluster.FreeAddress()
	if err != nil {
		return "", fmt.Errorf("address for TLS: %w", err)
	}
	host, port, err := net.SplitHostPort(free)
	if err != nil {
		return "", fmt.Errorf("address for TLS: %w", err)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			host = n.IP.String()
			break
		}
	}
	return net.JoinHostPort(host, port), nil
}

// Certificates is a folder of PEM files: ca, server, client, stranger, and their
// keys.
type Certificates string

func (c Certificates) file(name string) string { return filepath.Join(string(c), name+".pem") }
func (c Certificates) key(name string) string  { return filepath.Join(string(c), name+"-key.pem") }

func (c Certificates) pair(name string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.file(name), c.key(name))
	if err != nil {
		return pair, fmt.Errorf("certificate of %s: %w", name, err)
	}
	return pair, nil
}
