package sim

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
)

var elastics = flag.Int("elastics", 2, "how many schedules of nodes that come and go to run")

// Nodes join, lose their disks, are restarted, drained and forgotten under load.
func TestNodesComeAndGo(t *testing.T) {
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) { Elastic(t, *seed, true) })
		return
	}
	for i := range *elastics {
		n := *from + uint64(i)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { Elastic(t, n, false) })
		})
	}
}
