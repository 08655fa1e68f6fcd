//go:build !race

package sim

const defaultSchedules = 200
