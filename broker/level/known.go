//go:build !level2

package level

// Known is the highest level that this build knows.
const Known = 1
