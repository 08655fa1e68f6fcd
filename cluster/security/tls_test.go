package security

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

const (
	alpha = "alpha@0123456789abcdef"
	beta  = "beta@fedcba9876543210"
)

// handshake lets client and server meet, and returns what each makes of it and
// whom the server saw.
func handshake(t testing.TB, server, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // not a net.Pipe: both sides may write alerts at once
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.Close()
		if serverErr = s.Handshake(); serverErr == nil {
			seen = s.ConnectionState()
			_, serverErr = s.Write([]byte("x"))
		}
	}()
	// In TLS 1.3 a client learns what the server thinks of it with the first read.
	_, clientErr = c.Read(make([]byte, 1))
	b.Close()
	<-done
	return seen, serverErr, clientErr
}

func nodeTLS(t testing.TB, k *Keys, id string) (server, client *tls.Config) {
	t.Helper()
	server, client, err := k.NodeTLS(id)
	if err != nil {
		t.Fatalf("NodeTLS(%s): %v", id, err)
	}
	return server, client
}

func TestNodesOfOneSecretKnowEachOther(t *testing.T) {
	server, _ := nodeTLS(t, newKeys(t, secret), alpha)
	_, client := nodeTLS(t, newKeys(t, secret), beta)
	seen, serverErr, clientErr := handshake(t, server, Expect(client, alpha))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server: %v, client: %v", serverErr, clientErr)
	}
	if id, err := PeerID(seen); err != nil || id != beta {
		t.Fatalf("the server saw %q, %v, want %s", id, err, beta)
	}
	if seen.Version != tls.VersionTLS13 {
		t.Fatalf("TLS version %x", seen.Version)
	}
	if err := CheckPeer(seen, beta); err != nil {
		t.Fatalf("CheckPeer: %v", err)
	}
	if err := CheckPeer(seen, alpha); !errors.Is(err, ErrIdentity) {
		t.Fatalf("CheckPeer of another id: %v, want ErrIdentity", err)
	}
}

func TestAnotherNodeThanTheDialledOneIsRefused(t *testing.T) {
	k := newKeys(t, secret)
	server, _ := nodeTLS(t, k, alpha)
	_, client := nodeTLS(t, k, beta)
	_, serverErr, clientErr := handshake(t, server, Expect(client, "alpha@ffffffffffffffff"))
	if !errors.Is(clientErr, ErrIdentity) {
		t.Fatalf("client: %v, want ErrIdentity", clientErr)
	}
	if serverErr == nil {
		t.Fatal("the server noticed nothing")
	}
}

func TestAnotherSecretIsRefusedOnBothSides(t *testing.T) {
	server, _ := nodeTLS(t, newKeys(t, secret), alpha)
	_, client := nodeTLS(t, newKeys(t, "another secret, just as long"), beta)
	if _, _, err := handshake(t, server, client); !errors.Is(err, ErrUntrusted) {
		t.Errorf("client: %v, want ErrUntrusted", err)
	}
	blind := client.Clone()
	blind.VerifyConnection = nil // a stranger that accepts any server
	if _, err, _ := handshake(t, server, blind); !errors.Is(err, ErrUntrusted) {
		t.Errorf("server: %v, want ErrUntrusted", err)
	}
}

func TestAClientWithoutCertificateOrOfTLS12IsRefused(t *testing.T) {
	server, client := nodeTLS(t, newKeys(t, secret), alpha)
	bare := client.Clone()
	bare.GetClientCertificate = nil
	if _, err, _ := handshake(t, server, bare); err == nil {
		t.Error("a client without a certificate got in")
	}
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err, _ := handshake(t, server, old); err == nil {
		t.Error("a client of TLS 1.2 got in")
	}
}

func TestWrongClocksDoNotMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock says 2000-01-01
		server, client := nodeTLS(t, newKeys(t, secret), alpha)
		if _, serverErr, clientErr := handshake(t, server, client); serverErr != nil || clientErr != nil {
			t.Fatalf("server: %v, client: %v", serverErr, clientErr)
		}
	})
}

// operator is an authority of the kind that cert-manager runs.
type operator struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	dir  string
}

func newOperator(t testing.TB) *operator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{key: key, dir: t.TempDir()}
	o.cert = o.sign(t, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		Subject: pkix.Name{CommonName: "operator"},
	}, &key.PublicKey)
	return o
}

func (o *operator) sign(t testing.TB, template *x509.Certificate, public any) *x509.Certificate {
	t.Helper()
	parent := o.cert
	if parent == nil {
		parent = template
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, o.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// files writes a certificate for a node name and returns where.
func (o *operator) files(t testing.TB, name string, usages ...x509.ExtKeyUsage) Files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := o.sign(t, &x509.Certificate{
		DNSNames: []string{name}, ExtKeyUsage: usages, KeyUsage: x509.KeyUsageDigitalSignature,
	}, &key.PublicKey)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(o.dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return Files{
		Cert: write(name+".crt", "CERTIFICATE", cert.Raw),
		Key:  write(name+".key", "PRIVATE KEY", pkcs8),
		CA:   write("ca.crt", "CERTIFICATE", o.cert.Raw),
	}
}

var bothUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

func ownKeys(t testing.TB, f Files) *Keys {
	t.Helper()
	k, err := newKeys(t, secret).WithFiles(f)
	if err != nil {
		t.Fatalf("WithFiles: %v", err)
	}
	return k
}

func TestOwnCertificatesAreKnownByNodeName(t *testing.T) {
	o := newOperator(t)
	server, _ := nodeTLS(t, ownKeys(t, o.files(t, "alpha", bothUsages...)), alpha)
	_, client := nodeTLS(t, ownKeys(t, o.files(t, "beta", bothUsages...)), beta)
	seen, serverErr, clientErr := handshake(t, server, Expect(client, alpha))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server: %v, client: %v", serverErr, clientErr)
	}
	if err := CheckPeer(seen, beta); err != nil {
		t.Errorf("CheckPeer(beta): %v", err)
	}
	if err := CheckPeer(seen, alpha); !errors.Is(err, ErrIdentity) {
		t.Errorf("CheckPeer(alpha): %v, want ErrIdentity", err)
	}
	if _, _, err := handshake(t, server, Expect(client, "gamma@0123456789abcdef")); !errors.Is(err, ErrIdentity) {
		t.Errorf("client that dialled gamma: %v, want ErrIdentity", err)
	}
	_, made := nodeTLS(t, newKeys(t, secret), beta)
	if _, _, err := handshake(t, server, made); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a node with a certificate from the secret: %v, want ErrUntrusted", err)
	}
}

func TestUnusableOwnCertificatesAreToldAtStart(t *testing.T) {
	o, other := newOperator(t), newOperator(t)
	good := o.files(t, "alpha", bothUsages...)
	cases := map[string]Files{
		"a file is missing in the configuration": {Cert: good.Cert, Key: good.Key},
		"a file does not exist":                  {Cert: good.Cert, Key: good.Key, CA: good.CA + "x"},
		"the key is another's":                   {Cert: good.Cert, Key: o.files(t, "beta", bothUsages...).Key, CA: good.CA},
		"the authority is another":               {Cert: good.Cert, Key: good.Key, CA: other.files(t, "alpha", bothUsages...).CA},
		"the certificate is for servers only":    o.files(t, "gamma", x509.ExtKeyUsageServerAuth),
		"the authority's file holds no PEM":      {Cert: good.Cert, Key: good.Key, CA: emptyFile(t)},
	}
	for name, files := range cases {
		if _, err := newKeys(t, secret).WithFiles(files); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func emptyFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRenewedCertificatesAreUsedWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperator(t)
		files := o.files(t, "alpha", bothUsages...)
		keys := ownKeys(t, files)
		first := keys.own.latest()

		renewed := o.files(t, "alpha", bothUsages...)
		touch(t, renewed, time.Now().Add(time.Minute))
		if keys.own.latest() != first {
			t.Fatal("the files were looked at again before the interval was over")
		}
		time.Sleep(reloadInterval)
		second := keys.own.latest()
		if second == first {
			t.Fatal("the renewed certificate is not used")
		}

		if err := os.WriteFile(renewed.Cert, []byte("half written"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(reloadInterval)
		if keys.own.latest() != second {
			t.Fatal("a broken file replaced a good certificate")
		}
	})
}

func touch(t testing.TB, f Files, at time.Time) {
	for _, name := range []string{f.Cert, f.Key, f.CA} {
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}
