//go:build level2

package level

// Known is that of the build that tries what comes next: level 2 has no release yet.
const Known = 2
