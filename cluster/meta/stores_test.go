package meta

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

func TestStoresKeepWhatIsWritten(t *testing.T) {
	dir := t.TempDir()
	st, closer, err := OpenStores(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := &raft.Log{Index: 1, Term: 2, Type: raft.LogCommand, Data: []byte("payload"), Extensions: []byte("ext")}
	if err := errors.Join(st.Log.StoreLog(e), st.Stable.Set([]byte("k"), []byte("v")), st.Stable.SetUint64([]byte("n"), 7)); err != nil {
		t.Fatal(err)
	}
	if string(e.Data) != "payload" {
		t.Fatalf("the caller's entry was changed to %q", e.Data)
	}
	if _, _, err := OpenStores(dir); err == nil {
		t.Fatal("opened twice")
	}
	closer.Close()
	st, closer, err = OpenStores(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	var got raft.Log
	if err := st.Log.GetLog(1, &got); err != nil || string(got.Data) != "payload" || got.Term != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := st.Log.GetLog(2, &got); !errors.Is(err, raft.ErrLogNotFound) {
		t.Fatalf("a missing entry: %v", err)
	}
	if v, err := st.Stable.Get([]byte("k")); err != nil || string(v) != "v" {
		t.Fatalf("%q, %v", v, err)
	}
	if n, err := st.Stable.GetUint64([]byte("n")); err != nil || n != 7 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := st.Stable.Get([]byte("none")); err == nil || err.Error() != "not found" {
		t.Fatalf("a missing value: %v, raft wants \"not found\"", err)
	}
	if has, err := raft.HasExistingState(st.Log, st.Stable, st.Snapshots); err != nil || !has {
		t.Fatalf("has state: %v, %v", has, err)
	}
}

// One flipped bit in the file is found when the entry or the value is read.
func TestStoresFindFlippedBits(t *testing.T) {
	dir := t.TempDir()
	st, closer, err := OpenStores(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		st.Log.StoreLog(&raft.Log{Index: 1, Term: 1, Data: []byte("the entry's payload")}),
		st.Stable.Set([]byte("k"), []byte("the value's bytes")),
	); err != nil {
		t.Fatal(err)
	}
	closer.Close()
	name := filepath.Join(dir, storeName)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"entry's payload", "value's bytes"} {
		for from := 0; ; {
			i := bytes.Index(file[from:], []byte(mark))
			if i < 0 {
				break
			}
			file[from+i] ^= 4
			from += i + 1
		}
	}
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	st, closer, err = OpenStores(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	if err := st.Log.GetLog(1, new(raft.Log)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("flipped entry: %v", err)
	}
	if _, err := st.Stable.Get([]byte("k")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("flipped value: %v", err)
	}
}
