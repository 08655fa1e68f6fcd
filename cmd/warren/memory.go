package main

import (
	"math"
	"os"
	"runtime/debug"
)

// collectBefore lets Go collect its garbage before the memory watermark is
// reached, so that what raises the alarm is in use. GOMEMLIMIT, if set, is left alone.
func collectBefore(watermark uint64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(garbageLimit(watermark))
	}
}

// garbageFloor is kept even under a watermark that is set lower, as operators do
// to try the alarm: a process that only collects would do nothing else.
const garbageFloor = 64 << 20

// garbageLimit leaves a tenth of the watermark for what the limit does not count.
func garbageLimit(watermark uint64) int64 {
	return int64(min(max(watermark-watermark/10, garbageFloor), math.MaxInt64))
}
