//go:build unix && !linux

package log

func (f *osFile) WriteV(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

func (f *osFile) Allocate(size int64) error { return f.Truncate(size) }
