package main

import (
	"testing"

	"github.com/spf13/pflag"

	"github.com/warrenmq/warren/broker/connection"
)

func TestTLSFlags(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want connection.ClientCerts
		ok   bool
	}{
		{"none", nil, connection.NoClientCerts, true},
		{"a listener without a certificate", []string{"--tls-listen=:5671"}, 0, false},
		{"a certificate without a listener", []string{"--tls-cert=c", "--tls-key=k"}, 0, false},
		{"a listener", []string{"--tls-listen=:5671", "--tls-cert=c", "--tls-key=k"}, connection.NoClientCerts, true},
		{"checked clients", []string{"--tls-listen=:5671", "--tls-cert=c", "--tls-key=k", "--tls-ca=a", "--tls-verify=require"}, connection.RequireClientCerts, true},
		{"an unknown check", []string{"--tls-listen=:5671", "--tls-cert=c", "--tls-key=k", "--tls-verify=maybe"}, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var o tlsOptions
			f := pflag.NewFlagSet("", pflag.ContinueOnError)
			o.flags(f)
			if err := f.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			files, err := o.files()
			if (err == nil) != test.ok || test.ok && files.ClientCerts != test.want {
				t.Errorf("files() = %+v, %v", files, err)
			}
		})
	}
}
