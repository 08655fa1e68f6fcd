//go:build unix && !linux

package alarm

import "errors"

// DiskFree is not known here: Warren runs on Linux; elsewhere it is for development.
func (m *Machine) DiskFree() (uint64, error) {
	return 0, errors.New("free disk is measured on Linux alone")
}
