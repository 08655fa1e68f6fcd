package connection_test

import (
	"net"
	"os"
	"os/exec"
	"testing"
)

const python = "/usr/bin/python3"

// The shapes of pika's tutorials, in testdata/tutorials.py.
func TestClientPika(t *testing.T) {
	if err := exec.Command(python, "-c", "import pika").Run(); err != nil {
		t.Fatalf("Debian's python3-pika is missing, test/deps installs it: %v", err)
	}
	_, address := start(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(t.Context(), python, "testdata/tutorials.py", port)
	cmd.Stderr = os.Stderr
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
