package queue

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestEncodingsOfVersion1DoNotChange: logs and snapshots on disk are read for ever. A test that
// fails here asks for a new version, not for -update.
func TestEncodingsOfVersion1DoNotChange(t *testing.T) {
	batches := seedBatches()
	for _, c := range []struct {
		name string
		now  []byte
	}{
		{"publish-v1", batches[0]},
		{"control-v1", batches[3]},
		{"snapshot-v1", seedState(t).AppendSnapshot(nil)},
	} {
		path := filepath.Join("testdata", c.name+".hex")
		if *update {
			if err := os.WriteFile(path, []byte(hex.EncodeToString(c.now)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.now, want) {
			t.Errorf("%s: now\n%x\nbut disks hold\n%x", c.name, c.now, want)
		}
	}
}
