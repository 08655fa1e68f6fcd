package sim

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
)

var (
	seed      = flag.Uint64("seed", 0, "run the schedule of this seed alone, and print its log")
	from      = flag.Uint64("from", 1, "the first schedule's seed")
	schedules = flag.Int("schedules", defaultSchedules, "how many schedules to run")
)

func TestSchedules(t *testing.T) {
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) { Schedule(t, *seed, true) })
		return
	}
	for i := range *schedules {
		n := *from + uint64(i)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { Schedule(t, n, false) })
		})
	}
}
