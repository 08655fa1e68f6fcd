package connection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/connection/conntest"
	"github.com/warrenmq/warren/broker/wire"
)

// issuer is a CA for tests.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newIssuer(t *testing.T) *issuer {
	ca := &issuer{}
	ca.cert, ca.key, ca.pem = ca.sign(t, "ca")
	return ca
}

// sign makes a certificate, of the CA itself where it has none yet.
func (ca *issuer) sign(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// write puts a new pair into files, and says when it was made, for file systems with coarse clocks.
func (ca *issuer) write(t *testing.T, files connection.TLSFiles, name string, made time.Time) {
	t.Helper()
	_, key, cert := ca.sign(t, name)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		files.Cert: cert, files.Key: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), files.CA: ca.pem,
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, made, made); err != nil {
			t.Fatal(err)
		}
	}
}

func serveTLS(t *testing.T, ca *issuer, want connection.ClientCerts) (l *connection.Listener, files connection.TLSFiles, address string) {
	t.Helper()
	dir := t.TempDir()
	files = connection.TLSFiles{
		Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem"),
		ClientCerts: want, Logger: slog.New(slog.DiscardHandler),
	}
	ca.write(t, files, "first", time.Now().Add(-time.Minute))
	cfg := conntest.New(t).Config()
	var err error
	if cfg.TLS, err = files.Config(); err != nil {
		t.Fatal(err)
	}
	if cfg.TLSListen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, stop := conntest.Run(t, plain, cfg)
	t.Cleanup(stop)
	conntest.Open(t, plain.Addr().String()).Channel(1) // both doors are open
	return l, files, cfg.TLSListen.Addr().String()
}

// B22: clients speak TLS 1.2 and 1.3, certificates change without a restart, and a
// pair that cannot be used changes nothing.
func TestB22TLS(t *testing.T) {
	ca := newIssuer(t)
	l, files, address := serveTLS(t, ca, connection.NoClientCerts)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	dial := func(version uint16) *conntest.Client {
		t.Helper()
		nc, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		c := conntest.NewClient(t, nc)
		c.Login(conntest.DefaultStartOk())
		c.OpenVHost("/")
		c.Channel(1)
		return c
	}
	shown := func(c *conntest.Client) string {
		return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := dial(version)
		c.Declare(1, &wire.QueueDeclare{Queue: "q"})
		fill(c, 1, "q", 0, 100)
		c.Consume(1, &wire.BasicConsume{Queue: "q", NoAck: true})
		expectDeliveries(t, c, 1, 0, 100, false)
		c.Send(1, &wire.QueueDelete{Queue: "q"})
		c.Conn.Close()
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	old := dial(0)
	ca.write(t, files, "second", time.Now())
	if name := shown(dial(0)); name != "second" {
		t.Errorf("shows %q, want second", name)
	}
	old.Counts(1, old.Declare(1, &wire.QueueDeclare{Exclusive: true}).Queue) // who was there stays
	if err := os.WriteFile(files.Key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name := shown(dial(0)); name != "second" {
		t.Errorf("shows %q after a bad key, want second", name)
	}
	secured := 0
	for _, info := range l.Connections() {
		if info.TLS != nil {
			secured++
		}
	}
	if secured == 0 {
		t.Error("no connection is listed with TLS")
	}
}

// B22: verify_peer takes no certificate or a good one, fail_if_no_peer_cert a good one only.
func TestB22ClientCertificates(t *testing.T) {
	ca, stranger := newIssuer(t), newIssuer(t)
	pair := func(ca *issuer) []tls.Certificate {
		cert, key, _ := ca.sign(t, "client")
		return []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}
	}
	tests := []struct {
		name  string
		want  connection.ClientCerts
		certs []tls.Certificate
		ok    bool
	}{
		{"verify, none", connection.VerifyClientCerts, nil, true},
		{"verify, good", connection.VerifyClientCerts, pair(ca), true},
		{"verify, a stranger's", connection.VerifyClientCerts, pair(stranger), false},
		{"require, none", connection.RequireClientCerts, nil, false},
		{"require, good", connection.RequireClientCerts, pair(ca), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, address := serveTLS(t, ca, test.want)
			nc, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if test.certs == nil {
					return &tls.Certificate{}, nil
				}
				return &test.certs[0], nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			c := conntest.NewClient(t, nc)
			c.Write([]byte(wire.ProtocolHeader))
			if _, err = c.Frame(); (err == nil) != test.ok {
				t.Errorf("the server speaks: %v, want %v", err, test.ok)
			}
		})
	}
}

// A8: a client that does not shake hands is dropped after five seconds.
func TestA8TLSTimeout(t *testing.T) {
	ca := newIssuer(t)
	dir := t.TempDir()
	files := connection.TLSFiles{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	ca.write(t, files, "server", time.Now())
	if _, err := (connection.TLSFiles{Cert: files.Cert, Key: files.Key, ClientCerts: connection.VerifyClientCerts}).Config(); err == nil {
		t.Error("clients' certificates are checked without a CA")
	}
	if _, err := (connection.TLSFiles{Cert: files.Key, Key: files.Cert}).Config(); err == nil {
		t.Error("a key is taken for a certificate")
	}
	cfg, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	ln := newPipeListener()
	bubble(t, func(t *testing.T, _ *conntest.Broker, _ *connection.Listener, _ *conntest.Client) {
		nc := ln.dial()
		begin := time.Now()
		nc.SetReadDeadline(time.Time{})
		for {
			if _, err := nc.Read(make([]byte, 64)); err != nil {
				break
			}
		}
		if passed := time.Since(begin); passed != 5*time.Second {
			t.Errorf("dropped after %v", passed)
		}
	}, func(c *connection.Config) {
		ln = newPipeListener()
		c.TLS, c.TLSListen = cfg, ln
	})
}
