package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// directed runs a test with three nodes that serve.
func directed(t *testing.T, f func(t *testing.T, c *Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, *seed, 3)
		defer c.finish(t)
		c.Start()
		if c.AwaitReady(time.Minute) {
			time.Sleep(5 * time.Second) // until there are all groups
			if c.Await(30*time.Second, "groups are led where they should be", c.settled) {
				f(t, c)
			}
		}
	})
}

// settled tells whether every group is led by the node that is preferred, and all know it.
func (c *Cluster) settled() bool {
	for _, m := range c.Machines {
		n := m.Node()
		if n == nil {
			return false
		}
		for _, g := range n.Status().Groups {
			if g.Leader != g.Preferred {
				return false
			}
		}
	}
	return true
}

// finish ends the cluster and tells what it noted, with its log when the test has failed.
func (c *Cluster) finish(t *testing.T) {
	for _, f := range c.Failed() {
		t.Error(f)
	}
	if t.Failed() {
		t.Log("\n" + c.log.String())
	}
	c.Close()
}

// durable declares a queue that is led by machine i.
func durable(c *Cluster, name string, i int) {
	c.tb.Helper()
	s := c.Connect("setup", c.Machines[i])
	s.Must(&wire.QueueDeclare{Queue: name, Durable: true})
	s.Abort()
	if leads := c.Leads(name); leads != i {
		c.tb.Fatalf("%s is led by n%d, declared through n%d", name, leads+1, i+1)
	}
}

// A leader that is killed with batches on their way: each is in the queue once, in
// order, and the confirms go on soon.
func TestLeaderKilledWithBatchesInFlight(t *testing.T) {
	for _, dark := range []bool{false, true} {
		t.Run(fmt.Sprintf("power cut %v", dark), func(t *testing.T) {
			directed(t, func(t *testing.T, c *Cluster) {
				durable(c, "q", 1)
				p := c.Connect("p", c.Machines[0])
				p.Must(&wire.ConfirmSelect{})
				const rounds, each = 5, 60
				n := 0
				for range rounds {
					if !c.Await(time.Minute, "leadership is back where it belongs", func() bool { return c.Leads("q") == 1 }) {
						return
					}
					leads := c.Machines[1]
					bound := 1500 * time.Millisecond
					for i := range each {
						n++
						p.PublishTo("q", fmt.Sprint(n))
						if i == each/2 {
							if dark {
								bound = 6 * time.Second
								leads.Crash()
							} else {
								leads.Kill()
							}
						}
						time.Sleep(time.Millisecond)
					}
					if took := p.AwaitConfirms(time.Minute); took > bound {
						t.Errorf("confirms pause for %v, want at most %v", took, bound)
					}
					leads.Start()
					c.AwaitReady(30 * time.Second)
				}
				k := c.Connect("k", c.Machines[2])
				k.Must(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				got := strings.ReplaceAll(k.Deliveries(n, 10*time.Second), "*", "")
				if want := strings.Join(numbers(1, n), " "); got != want {
					t.Errorf("the queue has\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

// A consumer's node dies: what the consumer held goes to another one, in its place
// and with the flag.
func TestConsumersNodeDies(t *testing.T) {
	for _, dark := range []bool{false, true} {
		t.Run(fmt.Sprintf("power cut %v", dark), func(t *testing.T) {
			directed(t, func(t *testing.T, c *Cluster) {
				durable(c, "q", 1)
				k := c.Connect("k", c.Machines[0])
				k.Must(&wire.BasicQos{PrefetchCount: 3}, &wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				p := c.Connect("p", c.Machines[2])
				p.Must(&wire.ConfirmSelect{})
				p.PublishTo("q", numbers(1, 5)...)
				p.AwaitConfirms(5 * time.Second)
				if got := k.Deliveries(3, 5*time.Second); got != "1 2 3" {
					t.Fatalf("the first consumer has %q", got)
				}
				if dark {
					c.Machines[0].Crash()
				} else {
					c.Machines[0].Kill()
				}
				other := c.Connect("other", c.Machines[2])
				time.Sleep(20 * time.Second)
				other.Must(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				if got := other.Deliveries(5, 10*time.Second); got != "1* 2* 3* 4 5" {
					t.Errorf("the second consumer has %q", got)
				}
			})
		})
	}
}

// Leadership moves while consumers hold messages: what a living consumer holds is
// delivered to nobody, and can be acknowledged at the new leader.
func TestLeadershipMovesUnderUnacknowledgedMessages(t *testing.T) {
	for _, how := range []string{"kill", "powercut", "isolate", "stop"} {
		t.Run(how, func(t *testing.T) {
			directed(t, func(t *testing.T, c *Cluster) {
				durable(c, "q", 1)
				p := c.Connect("p", c.Machines[0])
				p.Must(&wire.ConfirmSelect{})
				var ks []*Script // the first two hold messages; the third could have more
				for i, prefetch := range []uint16{3, 3, 100} {
					k := c.Connect(fmt.Sprint("k", i), c.Machines[i%2*2])
					k.Must(&wire.BasicQos{PrefetchCount: prefetch})
					ks = append(ks, k)
				}
				ks[0].Must(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				ks[1].Must(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				p.PublishTo("q", numbers(1, 6)...)
				p.AwaitConfirms(5 * time.Second)
				held := func(what string, want ...string) {
					t.Helper()
					time.Sleep(time.Second)
					for i, k := range ks {
						if got := k.Deliveries(0, 0); got != want[i] {
							t.Errorf("%s, consumer %d has %q, want %q", what, i, got, want[i])
						}
					}
				}
				held("at first", "1 3 5", "2 4 6", "")
				ks[2].Must(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				switch how {
				case "kill":
					c.Machines[1].Kill()
				case "powercut":
					c.Machines[1].Crash()
				case "stop":
					c.Machines[1].Stop()
				default:
					defer c.Isolate(1)()
				}
				time.Sleep(15 * time.Second)
				if leads := c.Leads("q"); how != "isolate" && leads == 1 {
					t.Fatal("leadership has not moved")
				}
				held("under another leader", "1 3 5", "2 4 6", "")
				ks[0].Ack()
				ks[1].Ack()
				held("after their acknowledgement", "1 3 5", "2 4 6", "")
				p.PublishTo("q", "7", "8", "9")
				p.AwaitConfirms(5 * time.Second)
				time.Sleep(time.Second)
				for i := range ks {
					ks[i].Ack()
				}
				// A follower may hear of the last commit two of Raft's CommitTimeouts later.
				c.Await(5*time.Second, "the replicas on both sides of n2 are empty", func() bool {
					for i, m := range c.Machines {
						if n := m.Node(); n != nil && i != 1 && backlog(n) > 0 {
							return false
						}
					}
					return true
				})
			})
		})
	}
}

// All nodes end at once under load and come back in any order, with all that was
// confirmed, and serve soon.
func TestAllStopAndStartInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for _, dark := range []bool{false, true} {
			t.Run(fmt.Sprint(order, dark), func(t *testing.T) {
				t.Parallel()
				directed(t, func(t *testing.T, c *Cluster) {
					w, err := NewWorkload(c, 3)
					if err != nil {
						t.Fatal(err)
					}
					w.Start(rand.New(rand.NewPCG(uint64(order[0]), uint64(order[1]))), 3, 3)
					defer w.End()
					time.Sleep(2 * time.Second)
					over := w.h.trouble()
					for _, m := range c.Machines {
						if dark {
							m.Crash()
						} else {
							m.Kill()
						}
					}
					for _, i := range order {
						time.Sleep(time.Second)
						c.Machines[i].Start()
					}
					c.AwaitReady(15 * time.Second)
					over()
					time.Sleep(2 * time.Second)
					w.Drain()
					w.Verify()
				})
			})
		}
	}
}

// A node without a majority confirms nothing and refuses changes in time; its
// consumers stay, and all goes on when the others are back.
func TestMinority(t *testing.T) {
	for _, dark := range []bool{false, true} {
		t.Run(fmt.Sprintf("power cut %v", dark), func(t *testing.T) {
			directed(t, func(t *testing.T, c *Cluster) {
				durable(c, "q", 0)
				p := c.Connect("p", c.Machines[0])
				p.Must(&wire.ConfirmSelect{})
				k := c.Connect("k", c.Machines[0])
				k.Must(&wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
				for _, m := range c.Machines[1:] {
					if dark {
						m.Crash()
					} else {
						m.Kill()
					}
				}
				p.PublishTo("q", numbers(1, 5)...)
				began := time.Now()
				s := c.Connect("s", c.Machines[0])
				_, err := s.Call(&wire.QueueDeclare{Queue: "other", Durable: true})
				if took := time.Since(began); codeOf(err) != wire.InternalError || took > 6*time.Second {
					t.Errorf("a declare without a majority: %v after %v", err, took)
				}
				time.Sleep(20 * time.Second)
				if n := p.Confirmed(); n > 0 {
					t.Errorf("%d messages are confirmed without a majority", n)
				}
				if got := k.Deliveries(1, time.Second); got != "" {
					t.Errorf("delivered without a majority: %q", got)
				}
				for _, m := range c.Machines[1:] {
					m.Start()
				}
				p.AwaitConfirms(15 * time.Second)
				if got := k.Deliveries(5, 10*time.Second); got != "1 2 3 4 5" {
					t.Errorf("the consumer has %q", got)
				}
			})
		})
	}
}

// Three fresh nodes whose links come and go, and that lose power meanwhile, form
// one cluster.
func TestBootstrapUnderPartitions(t *testing.T) {
	for s := uint64(1); s <= 20; s++ {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(s, 7))
				c := NewCluster(t, s, 3)
				defer c.finish(t)
				for _, m := range c.Machines {
					time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
					m.Start()
				}
				for range 6 {
					time.Sleep(time.Duration(rng.Int64N(int64(400 * time.Millisecond))))
					i, j := rng.IntN(3), rng.IntN(3)
					switch {
					case rng.IntN(3) == 0:
						c.Machines[i].Crash()
						time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
						c.Machines[i].Start()
					case i != j:
						c.Cut(i, j)
						time.AfterFunc(time.Duration(rng.Int64N(int64(3*time.Second))), func() { c.Mend(i, j) })
					}
				}
				if !c.AwaitReady(60 * time.Second) {
					return
				}
				c.VerifyReplicas()
			})
		})
	}
}
