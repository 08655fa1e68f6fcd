package connection

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// ClientCerts says what a TLS listener wants of its clients' certificates.
type ClientCerts uint8

const (
	NoClientCerts      ClientCerts = iota // none are asked for
	VerifyClientCerts                     // one that is shown must be good: RabbitMQ's verify_peer
	RequireClientCerts                    // there must be one: and fail_if_no_peer_cert
)

// TLSFiles are the PEM files that a TLS listener works with (B22). They are looked
// at with each client: those that have changed count from then on, those that
// cannot be read do not.
type TLSFiles struct {
	Cert, Key   string
	CA          string // of clients' certificates
	ClientCerts ClientCerts
	Logger      *slog.Logger // slog.Default()
}

// Config reads the files.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f.ClientCerts != NoClientCerts && f.CA == "" {
		return nil, errors.New("TLS: certificates of clients cannot be checked without a CA")
	}
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	w := &tlsWatch{files: f}
	if err := w.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.current(), nil },
	}, nil
}

// tlsWatch keeps what was read last.
type tlsWatch struct {
	files TLSFiles

	mu     sync.Mutex
	seen   [3]tlsStamp // of Cert, Key and CA, when they were read or tried
	config *tls.Config
}

// tlsStamp tells one content of a file from the next.
type tlsStamp struct {
	changed time.Time
	size    int64
}

func (w *tlsWatch) stamps() (now [3]tlsStamp) {
	for i, name := range [...]string{w.files.Cert, w.files.Key, w.files.CA} {
		if info, err := os.Stat(name); err == nil {
			now[i] = tlsStamp{info.ModTime(), info.Size()}
		}
	}
	return now
}

// current is the configuration for the next client.
func (w *tlsWatch) current() *tls.Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stamps() == w.seen {
		return w.config
	}
	if err := w.load(); err != nil { // a pair may be half written: the next change is tried again
		w.files.Logger.Error("TLS files have changed and cannot be used: the former ones stay", "error", err)
		return w.config
	}
	w.files.Logger.Info("TLS files have changed and are in use", "certificate", w.files.Cert)
	return w.config
}

// load reads the files. The mutex is held, or w is not shared yet.
func (w *tlsWatch) load() error {
	w.seen = w.stamps()
	pair, err := tls.LoadX509KeyPair(w.files.Cert, w.files.Key)
	if err != nil {
		return fmt.Errorf("TLS: certificate and key: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if w.files.ClientCerts != NoClientCerts {
		pem, err := os.ReadFile(w.files.CA)
		if err != nil {
			return fmt.Errorf("TLS: CA: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("TLS: no certificate in %s", w.files.CA)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if w.files.ClientCerts == RequireClientCerts {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	w.config = config
	return nil
}
