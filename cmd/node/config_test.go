package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"one node alone":            {Config{Name: "n", DataDir: "d", Expect: 1}, ""},
		"three with seeds":          {Config{Name: "n", DataDir: "d", Expect: 3, Seeds: []string{"a:1"}}, ""},
		"three without seeds":       {Config{Name: "n", DataDir: "d", Expect: 3}, "needs seeds"},
		"one that only joins":       {Config{Name: "n", DataDir: "d", Seeds: []string{"a:1"}}, ""},
		"one that joins nobody":     {Config{Name: "n", DataDir: "d"}, "needs seeds"},
		"a negative number of them": {Config{Name: "n", DataDir: "d", Expect: -1}, "negative"},
		"a name with a space":       {Config{Name: "a b", DataDir: "d", Expect: 1}, "name"},
		"no name":                   {Config{DataDir: "d", Expect: 1}, "name"},
		"no data folder":            {Config{Name: "n", Expect: 1}, "data folder"},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if got := (Config{Expect: 0}).withDefaults().Expect; got != 0 {
		t.Errorf("a node that only joins expects %d", got)
	}
}

func TestDataWithoutAnIdentityIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(dir, "n"); err == nil || !strings.Contains(err.Error(), "no node.json") {
		t.Fatalf("OpenFolder: %v", err)
	}
}

func TestFolderKeepsItsIdentityAndCountsStarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	f, err := OpenFolder(dir, "n")
	if err != nil {
		t.Fatal(err)
	}
	incarnation := f.Incarnation()
	if f.Epoch() != 1 || len(incarnation) != 16 {
		t.Fatalf("epoch %d, incarnation %q", f.Epoch(), incarnation)
	}
	if _, err := OpenFolder(dir, "n"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = OpenFolder(dir, "n"); err != nil || f.Epoch() != 2 || f.Incarnation() != incarnation {
		t.Fatalf("again: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(dir, "other"); err == nil || !strings.Contains(err.Error(), `belongs to node "n"`) {
		t.Errorf("under another name: %v", err)
	}
	for text, want := range map[string]string{
		`{"format": 2, "name": "n", "incarnation": "0123456789abcdef", "epoch": 1}`: "newer version",
		`{"format": 1, "name": "n", "incarnation": "x", "epoch": 1}`:                "not one of Warren's",
		`{"format"`: "node.json",
	} {
		if err := os.WriteFile(filepath.Join(dir, "node.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFolder(dir, "n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
