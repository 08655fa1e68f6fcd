package diff

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newCertificates fills a new folder with what brokers and clients need for TLS.
func newCertificates() (c Certificates, err error) {
	dir, err := os.MkdirTemp("", "certificates-")
	if err != nil {
		return "", fmt.Errorf("folder of certificates: %w", err)
	}
	c = Certificates(dir)
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	var known, unknown authority
	if known, err = c.issue("ca", authority{}); err != nil {
		return "", err
	}
	if unknown, err = c.issue("unknown", authority{}); err != nil {
		return "", err
	}
	for name, by := range map[string]authority{"server": known, "client": known, "stranger": unknown} {
		if _, err = c.issue(name, by); err != nil {
			return "", err
		}
	}
	return c, nil
}

// issue writes a certificate and its key: an authority's own where it is by none.
func (c Certificates) issue(name string, by authority) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return authority{}, fmt.Errorf("number of %s: %w", name, err)
	}
	cert := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: by.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if by.cert == nil {
		cert.KeyUsage |= x509.KeyUsageCertSign
		by = authority{cert, key}
	} else {
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return authority{}, fmt.Errorf("certificate of %s: %w", name, err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return authority{}, fmt.Errorf("key of %s: %w", name, err)
	}
	for file, block := range map[string]*pem.Block{
		c.file(name): {Type: "CERTIFICATE", Bytes: der}, c.key(name): {Type: "EC PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return authority{}, fmt.Errorf("certificate of %s: %w", name, err)
		}
	}
	return authority{cert, key}, nil
}
