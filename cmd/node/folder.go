package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// folderFormat is the version of the data folder's layout:
//
//	node.json   this file's identity: format, name, incarnation, epoch
//	lock        held by the process that uses the folder
//	meta/       the meta group: raft.db, snapshots, the cluster's id
//	log/        the shared log of all queue groups
//	groups/     vote and term of the queue groups, their snapshots
const folderFormat = 1

// identity is what a data folder says of its node.
type identity struct {
	Format      int    `json:"format"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"` // 16 hex digits; new with every new folder
	Epoch       uint64 `json:"epoch"`       // starts of the process
}

// Folder is a data folder that this process holds.
type Folder struct {
	path string
	lock *os.File
	id   identity
}

// OpenFolder takes hold of a data folder, makes it when it is not there, and
// counts this start.
func OpenFolder(path, name string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be made: %w", path, plain(err))
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("data folder %s is not writable: %w", path, plain(err))
	}
	f := &Folder{path: path, lock: lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data folder %s is in use by another process", path)
		}
		return nil, fmt.Errorf("data folder %s cannot be locked: %w", path, err)
	}
	if err := f.start(name); err != nil {
		lock.Close()
		return nil, err
	}
	return f, nil
}

// start reads or makes the identity and raises the epoch.
func (f *Folder) start(name string) error {
	file := filepath.Join(f.path, "node.json")
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		for _, data := range []string{"log", "meta", "groups.db"} {
			if _, err := os.Stat(filepath.Join(f.path, data)); err == nil {
				return fmt.Errorf("data folder %s holds data, and no node.json to say whose: restore it, or empty the folder", f.path)
			}
		}
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			return fmt.Errorf("incarnation: %w", err)
		}
		f.id = identity{Format: folderFormat, Name: name, Incarnation: hex.EncodeToString(random[:])}
	case err != nil:
		return fmt.Errorf("data folder %s: %w", f.path, plain(err))
	default:
		if err := json.Unmarshal(b, &f.id); err != nil {
			return fmt.Errorf("data folder %s: node.json: %w", f.path, err)
		}
	}
	switch {
	case f.id.Format > folderFormat:
		return fmt.Errorf("data folder %s was written by a newer version of Warren (format %d; this one knows %d)", f.path, f.id.Format, folderFormat)
	case f.id.Format < 1 || len(f.id.Incarnation) != 16:
		return fmt.Errorf("data folder %s: node.json is not one of Warren's", f.path)
	case f.id.Name != name:
		return fmt.Errorf("data folder %s belongs to node %q, not %q", f.path, f.id.Name, name)
	}
	f.id.Epoch++
	b, err = json.MarshalIndent(f.id, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(file, append(b, '\n')); err != nil {
		return fmt.Errorf("data folder %s is not writable: %w", f.path, plain(err))
	}
	return nil
}

// Close lets another process have the folder.
func (f *Folder) Close() error { return f.lock.Close() }

// replaceFile puts content in a file so that a crash leaves the old or the new.
func replaceFile(path string, content []byte) error {
	tmp := path + ".new"
	w, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	err = errors.Join(err, w.Sync(), w.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// plain drops the path that an error of package os repeats.
func plain(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
