package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Fault is something that is broken for a while.
type Fault struct {
	Kind string
	At   time.Duration // after the workload's start
	For  time.Duration
	On   int           // machine
	With time.Duration // how slow
}

func (f Fault) String() string {
	s := fmt.Sprintf("%6.2fs %-9s n%d for %.2fs", f.At.Seconds(), f.Kind, f.On+1, f.For.Seconds())
	if f.With > 0 {
		s += fmt.Sprintf(" by %v", f.With)
	}
	return s
}

// kinds are the faults by how often they are drawn.
var kinds = []struct {
	name   string
	weight int
	longly time.Duration // at most
}{
	{"kill", 20, 4 * time.Second},
	{"powercut", 16, 5 * time.Second},
	{"restart", 8, 2 * time.Second},
	{"isolate", 14, 6 * time.Second},
	{"bridge", 5, 5 * time.Second},
	{"mute", 5, 5 * time.Second},
	{"deaf", 5, 5 * time.Second},
	{"slowdisk", 6, 4 * time.Second},
	{"hang", 6, 4 * time.Second},
	{"eio", 4, 3 * time.Second},
	{"slowlinks", 6, 4 * time.Second},
	{"killtwo", 4, 4 * time.Second},
	{"killall", 3, 3 * time.Second},
	{"cuttwo", 6, 4 * time.Second},
	{"cutall", 8, 3 * time.Second},
	{"flap", 3, 3 * time.Second},
}

// Draw makes a schedule: a few faults within the time of the load. They may overlap.
func Draw(rng *rand.Rand, load time.Duration, machines int) []Fault {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	var faults []Fault
	at := time.Duration(rng.Int64N(int64(2 * time.Second)))
	for at < load {
		n := rng.IntN(total)
		for _, k := range kinds {
			if n -= k.weight; n >= 0 {
				continue
			}
			f := Fault{Kind: k.name, At: at, On: rng.IntN(machines), For: 200*time.Millisecond + time.Duration(rng.Int64N(int64(k.longly)))}
			switch f.Kind {
			case "slowdisk":
				f.With = 20*time.Millisecond + time.Duration(rng.Int64N(int64(400*time.Millisecond)))
			case "slowlinks":
				f.With = 5*time.Millisecond + time.Duration(rng.Int64N(int64(200*time.Millisecond)))
			}
			faults = append(faults, f)
			break
		}
		at += 300*time.Millisecond + time.Duration(rng.Int64N(int64(6*time.Second)))
	}
	return faults
}

// Suffer lets one fault come and go.
func (w *Workload) Suffer(f Fault) {
	c := w.c
	m := c.Machines[f.On]
	defer w.h.trouble()()
	switch f.Kind { // what may keep a leader from a consumer's node for longer than it waits
	case "isolate", "mute", "deaf", "bridge", "slowlinks", "hang", "eio":
		defer w.h.unreached(w.touched(f)...)()
	}
	switch f.Kind {
	case "kill":
		m.Kill()
		time.Sleep(f.For)
		m.Start()
	case "powercut":
		m.Crash()
		time.Sleep(f.For)
		m.Start()
	case "restart":
		m.Stop()
		time.Sleep(f.For)
		m.Start()
	case "isolate":
		mend := c.Isolate(f.On)
		over := w.h.isolated(m)
		time.Sleep(f.For)
		over()
		mend()
	case "bridge", "mute", "deaf":
		w.oneWay(f)
	case "slowdisk":
		c.logger.Info("-- disk is slow", "node", m.Name, "sync", f.With)
		m.SlowDisk(f.With)
		time.Sleep(f.For)
		m.SlowDisk(syncTime)
	case "hang", "eio":
		w.dying(m, f)
	case "slowlinks":
		c.logger.Info("-- links are slow", "node", m.Name, "latency", f.With)
		c.delay(m, f.With)
		time.Sleep(f.For)
		c.delay(m, linkLatency)
	case "flap":
		for range 4 {
			m.Kill()
			time.Sleep(f.For / 8)
			m.Start()
			time.Sleep(f.For / 8)
		}
	default:
		w.many(f)
	}
}

// touched are the machines whose links a fault concerns.
func (w *Workload) touched(f Fault) []*Machine {
	if f.Kind == "bridge" {
		return []*Machine{w.c.Machines[f.On], w.c.Machines[w.c.other(f.On)]}
	}
	return []*Machine{w.c.Machines[f.On]}
}

// other is the other end of a bridge.
func (c *Cluster) other(i int) int { return (i + 1) % len(c.Machines) }

// oneWay cuts single links: between two machines, or all one way.
func (w *Workload) oneWay(f Fault) {
	c := w.c
	c.logger.Info("-- "+f.Kind, "node", c.Machines[f.On].Name)
	type link [2]int
	var links []link
	for j := range c.Machines {
		switch {
		case j == f.On:
		case f.Kind == "mute":
			links = append(links, link{f.On, j})
		case f.Kind == "deaf":
			links = append(links, link{j, f.On})
		}
	}
	if f.Kind == "bridge" {
		links = []link{{f.On, c.other(f.On)}, {c.other(f.On), f.On}}
	}
	for _, l := range links {
		c.Cut(l[0], l[1])
	}
	time.Sleep(f.For)
	c.logger.Info("-- no more "+f.Kind, "node", c.Machines[f.On].Name)
	for _, l := range links {
		c.Mend(l[0], l[1])
	}
}

// dyingTime is what a process may take to end when its disk hangs or fails.
const dyingTime = 8 * time.Second

// dying lets a disk hang or fail: the process must end by itself. It notices by what
// it writes: one that is cut off too may have nothing to write.
func (w *Workload) dying(m *Machine, f Fault) {
	began := time.Now()
	ended := m.BreakDisk(f.Kind == "hang")
	if ended == nil {
		return
	}
	timer := time.NewTimer(dyingTime)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		if w.h.aloneSince(began) {
			w.c.failure("%s still runs %v after its disk broke (%s)", m.Name, dyingTime, f.Kind)
		}
		m.Kill()
	}
	time.Sleep(f.For)
	m.Start()
}

// many hits several machines at once.
func (w *Workload) many(f Fault) {
	n := len(w.c.Machines)
	hit := w.c.Machines
	if f.Kind == "killtwo" || f.Kind == "cuttwo" {
		hit = []*Machine{hit[f.On], hit[(f.On+1)%n]}
	}
	for _, m := range hit {
		if f.Kind == "cuttwo" || f.Kind == "cutall" {
			m.Crash()
		} else {
			m.Kill()
		}
	}
	for i := range hit { // back one after another, in any order
		time.Sleep(f.For / time.Duration(n))
		hit[(i+f.On)%len(hit)].Start()
	}
}
