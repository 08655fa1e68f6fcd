package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCommittedFilesAreTheGeneratedOnes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", specFile))
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what go generate ./broker/wire writes", name)
		}
	}
}

func TestUnknownDomainIsRefused(t *testing.T) {
	const bad = `<amqp><class name="c" index="1"><method name="m" index="1"><field name="f" domain="nope"/></method></class></amqp>`
	if _, err := generate([]byte(bad)); err == nil {
		t.Error("a field of unknown domain is generated")
	}
}
