package security

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// Certificates made here hold for all time. Whoever could renew one knows the
// secret and can make one at any moment, so an end date would protect nothing; it
// would only stop clusters whose clocks are wrong. RFC 5280 §4.1.2.5 names this
// notAfter for certificates without an expiration date.
func validity() (notBefore, notAfter time.Time) {
	return time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
}

// authority makes the cluster's CA certificate. Ed25519 signatures are
// deterministic and nothing here is random, so every node that knows the secret
// makes the same bytes.
func authority(key ed25519.PrivateKey) (*x509.Certificate, error) {
	notBefore, notAfter := validity()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Warren cluster authority"},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the cluster's certificate authority: %w", err)
	}
	return cert, nil
}

// issue makes a fresh key and a certificate for it that names serverID, for both
// ends of a connection.
func (k *Keys) issue(serverID string) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", serverID, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number for %s: %w", serverID, err)
	}
	notBefore, notAfter := validity()
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(2)), // 1 is the authority's
		Subject:      pkix.Name{CommonName: "Warren node"},
		NotBefore:    notBefore,
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{identityURI(serverID)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.ca, public, k.caKey)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", serverID, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the certificate of %s: %w", serverID, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, nil
}
