package log

import (
	"errors"
	"fmt"
	"sync"
)

// errGone says that a segment was rewritten since it was looked up.
var errGone = errors.New("segment was rewritten")

// files holds segments open. The one that is written to is held by the writer; of the others no
// more than max stay open beyond those in use.
type files struct {
	fs  FS
	max int

	mu     sync.Mutex
	open   map[*segment]*handle
	uses   uint64
	closed bool
}

// handle is a segment's open file.
type handle struct {
	file File
	refs int
	used uint64 // when, in uses
}

func newFiles(fs FS, max int) *files { return &files{fs: fs, max: max, open: map[*segment]*handle{}} }

// acquire returns the segment's file, which stays open until release.
func (f *files) acquire(s *segment) (File, error) {
	f.mu.Lock()
	switch {
	case s.gone:
		f.mu.Unlock()
		return nil, errGone
	case s.handle != nil:
		defer f.mu.Unlock()
		return f.useLocked(s), nil
	}
	f.mu.Unlock()
	file, err := f.fs.Open(s.name)
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s.gone { // meanwhile
			return nil, errGone
		}
		return nil, fmt.Errorf("open segment: %w", err)
	}
	return f.add(s, file)
}

// retire makes acquire refuse a segment that was rewritten: it has to be looked up again. Those
// who have its file read on; the last of them closes it.
func (f *files) retire(s *segment) {
	f.mu.Lock()
	s.gone = true
	file := f.idleLocked(s)
	f.mu.Unlock()
	if file != nil {
		file.Close() // was only read from
	}
}

// idleLocked takes out the file of a segment that is gone when nobody uses it.
func (f *files) idleLocked(s *segment) File {
	if !s.gone || s.handle == nil || s.handle.refs > 0 {
		return nil
	}
	file := s.handle.file
	s.handle = nil
	delete(f.open, s)
	return file
}

// add hands over an open file and acquires it; another goroutine may have been first.
func (f *files) add(s *segment, file File) (File, error) {
	f.mu.Lock()
	if f.closed || s.gone {
		err := ErrStopped
		if s.gone {
			err = errGone
		}
		f.mu.Unlock()
		return nil, errors.Join(err, file.Close())
	}
	if s.handle == nil {
		s.handle = &handle{file: file}
		f.open[s] = s.handle
		file = nil
	}
	used := f.useLocked(s)
	idle := f.evictLocked()
	f.mu.Unlock()
	// Both were only read from: there is nothing to lose in closing them.
	if file != nil {
		file.Close()
	}
	if idle != nil {
		idle.Close()
	}
	return used, nil
}

func (f *files) release(s *segment) {
	f.mu.Lock()
	if s.handle != nil { // nil: closed meanwhile
		s.handle.refs--
	}
	file := f.idleLocked(s)
	f.mu.Unlock()
	if file != nil {
		file.Close()
	}
}

func (f *files) useLocked(s *segment) File {
	f.uses++
	s.handle.refs++
	s.handle.used = f.uses
	return s.handle.file
}

// evictLocked takes out the file that was not used for longest when there are too many.
func (f *files) evictLocked() File {
	if len(f.open) <= f.max {
		return nil
	}
	var oldest *segment
	for s, h := range f.open {
		if h.refs == 0 && (oldest == nil || h.used < oldest.handle.used) {
			oldest = s
		}
	}
	if oldest == nil {
		return nil
	}
	file := oldest.handle.file
	oldest.handle = nil
	delete(f.open, oldest)
	return file
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var errs []error
	for s, h := range f.open {
		errs = append(errs, h.file.Close())
		s.handle = nil
	}
	clear(f.open)
	return errors.Join(errs...)
}
