package bench

import "time"

// Workload is what is asked of a broker.
type Workload struct {
	Name    string
	Size    int  // bytes of a body
	Queues  int  // one publisher and one consumer each; 0 = 1
	Apart   bool // publisher and consumer on other nodes than the queue's leader
	Window  int  // unconfirmed messages of a publisher
	Rate    int  // messages a second of a publisher; 0 = as fast as confirms allow
	Warm    time.Duration
	Measure time.Duration
}

const (
	window = 1000
	warm   = 3 * time.Second
	span   = 15 * time.Second // of which the rate is the best of spans
	spans  = 3
)

// Standard is the workloads of make bench, and of the proof when short is set.
func Standard(short bool) []Workload {
	all := []Workload{
		{Name: "1 KiB", Size: 1024, Window: window, Warm: warm, Measure: span},
		{Name: "12 B", Size: 12, Window: window, Warm: warm, Measure: span},
		{Name: "1 KiB, clients elsewhere", Size: 1024, Apart: true, Window: window, Warm: warm, Measure: span},
		{Name: "1 KiB, 4 queues", Size: 1024, Queues: 4, Window: window, Warm: warm, Measure: span},
		{Name: "1 KiB at 2,000 msg/s", Size: 1024, Rate: 2000, Window: 100_000, Warm: warm, Measure: span},
	}
	if short {
		return all[:2]
	}
	return all
}

// Result is what was measured.
type Result struct {
	Broker   string
	Workload string
	PerSec   float64       // confirms a second, in the best span
	P50, P99 time.Duration // from a publish to its confirm
	CPU      float64       // seconds of all nodes a million messages
	RSS      int64         // bytes of all nodes at the end
	Backlog  int64         // messages not yet acknowledged at the end: the consumer kept up when it is small
}
