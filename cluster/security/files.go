package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Files names an operator's own certificate for this node, in PEM. The
// certificate needs the node's name as a DNS name and both TLS usages (server and
// client); the authority is the one that signed those of all nodes.
type Files struct {
	Cert, Key, CA string
	Logger        *slog.Logger // nil: slog.Default()
}

// reloadInterval bounds how often a handshake looks whether the files changed.
const reloadInterval = 10 * time.Second

// ownFiles holds certificates that somebody else renews. It looks at the files
// when a handshake needs them, so a renewed certificate is used without a restart.
type ownFiles struct {
	files     Files
	current   atomic.Pointer[credentials]
	nextCheck atomic.Int64 // Unix nanoseconds; whoever moves it forward looks at the files
}

// credentials are a certificate and the authorities that a peer's has to come from.
type credentials struct {
	cert  *tls.Certificate
	roots *x509.CertPool
	stamp fileStamp // of the files that they were read from
}

// fileStamp changes when one of the files does.
type fileStamp [3]struct {
	modified time.Time
	bytes    int64
}

// WithFiles returns keys that use an operator's own certificates between nodes,
// in place of those made from the secret. The gossip stays under the secret.
func (k *Keys) WithFiles(files Files) (*Keys, error) {
	if files.Cert == "" || files.Key == "" || files.CA == "" {
		return nil, errors.New("own certificates need three files: certificate, key and authority")
	}
	if files.Logger == nil {
		files.Logger = slog.Default()
	}
	pair, err := files.load()
	if err != nil {
		return nil, err
	}
	own := &ownFiles{files: files}
	own.current.Store(pair)
	own.nextCheck.Store(time.Now().Add(reloadInterval).UnixNano())
	return &Keys{gossip: k.gossip, caKey: k.caKey, ca: k.ca, own: own}, nil
}

// latest returns the newest pair that could be used. Files that cannot be read, or
// do not fit together because a renewal is half done, leave the earlier one in use.
func (o *ownFiles) latest() *credentials {
	pair := o.current.Load()
	now, next := time.Now(), o.nextCheck.Load()
	if now.UnixNano() < next || !o.nextCheck.CompareAndSwap(next, now.Add(reloadInterval).UnixNano()) {
		return pair
	}
	stamp, err := o.files.stamp()
	if err == nil && stamp == pair.stamp {
		return pair
	}
	renewed, err := o.files.load()
	if err != nil {
		o.files.Logger.Warn("the renewed node certificate cannot be used, the earlier one stays", "error", err)
		return pair
	}
	o.current.Store(renewed)
	o.files.Logger.Info("node certificate renewed", "file", o.files.Cert, "valid_until", renewed.cert.Leaf.NotAfter)
	return renewed
}

// load reads the three files. The stamp is taken first: files that change while
// they are read are looked at again.
func (f Files) load() (*credentials, error) {
	stamp, err := f.stamp()
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read node certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read certificate authority: %s holds no certificate", f.CA)
	}
	if err := usable(&cert, roots); err != nil {
		return nil, fmt.Errorf("node certificate %s: %w", f.Cert, err)
	}
	return &credentials{cert: &cert, roots: roots, stamp: stamp}, nil
}

// usable tells an operator at start what every peer would say later.
func usable(cert *tls.Certificate, roots *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, der := range cert.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("its chain: %w", err)
		}
		intermediates.AddCert(c)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := cert.Leaf.Verify(x509.VerifyOptions{
			Roots:         roots,
			Intermediates: intermediates,
			KeyUsages:     []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return fmt.Errorf("not usable between nodes (it must be signed by the given authority, for server and client): %w", err)
		}
	}
	return nil
}

func (f Files) stamp() (fileStamp, error) {
	var stamp fileStamp
	for i, name := range []string{f.Cert, f.Key, f.CA} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, fmt.Errorf("own certificates: %w", err)
		}
		stamp[i].modified, stamp[i].bytes = info.ModTime(), info.Size()
	}
	return stamp, nil
}
