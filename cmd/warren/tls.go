package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/warrenmq/warren/broker/connection"
)

// tlsOptions are the settings of the TLS listener.
type tlsOptions struct{ listen, cert, key, ca, verify string }

func (o *tlsOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.listen, "tls-listen", "", "address for AMQP clients with TLS, such as :5671; none without it")
	f.StringVar(&o.cert, "tls-cert", "", "PEM file with the certificate for --tls-listen; it may change while the node runs")
	f.StringVar(&o.key, "tls-key", "", "PEM file with its key")
	f.StringVar(&o.ca, "tls-ca", "", "PEM file with the authorities of clients' certificates")
	f.StringVar(&o.verify, "tls-verify", "none", "clients' certificates: none, peer (checked if shown) or require")
}

// files is what the settings say, refused where they do not fit together.
func (o *tlsOptions) files() (files connection.TLSFiles, err error) {
	files = connection.TLSFiles{Cert: o.cert, Key: o.key, CA: o.ca}
	switch o.verify {
	case "none":
	case "peer":
		files.ClientCerts = connection.VerifyClientCerts
	case "require":
		files.ClientCerts = connection.RequireClientCerts
	default:
		return files, fmt.Errorf("--tls-verify %q is none of none, peer, require", o.verify)
	}
	switch given := o.cert != "" || o.key != "" || o.ca != "" || o.verify != "none"; {
	case o.listen == "" && given:
		return files, errors.New("--tls-cert, --tls-key, --tls-ca and --tls-verify need --tls-listen")
	case o.listen != "" && (o.cert == "" || o.key == ""):
		return files, errors.New("--tls-listen needs --tls-cert and --tls-key")
	}
	return files, nil
}
