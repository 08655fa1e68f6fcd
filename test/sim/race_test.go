//go:build race

package sim

// The race detector makes everything ten times as slow.
const defaultSchedules = 10
