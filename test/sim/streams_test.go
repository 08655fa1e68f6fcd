package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// reads consumes a stream.
func reads(c *Cluster, host string, m *Machine, from any, prefetch uint16) *Script {
	c.tb.Helper()
	k := c.Connect(host, m)
	k.Must(&wire.BasicQos{PrefetchCount: prefetch},
		&wire.BasicConsume{Queue: "s", ConsumerTag: "c", Arguments: wire.Table{"x-stream-offset": from}})
	return k
}

// The leader of a stream ends while it is written and read: whoever reads, wherever, goes
// on without a gap, in order and with nothing twice; and what is confirmed is still there
// under its offset when all have lost their power.
func TestStreamsOutliveTheirLeader(t *testing.T) {
	const n = 400
	all := strings.Join(numbers(1, n), " ")
	for _, how := range []string{"kill", "powercut", "isolate", "stop"} {
		t.Run(how, func(t *testing.T) {
			directed(t, func(t *testing.T, c *Cluster) {
				setup := c.Connect("setup", c.Machines[1])
				setup.Must(&wire.QueueDeclare{Queue: "s", Durable: true, Arguments: wire.Table{"x-queue-type": "stream"}})
				setup.Abort()
				if leads := c.Leads("s"); leads != 1 {
					t.Fatalf("the stream is led by n%d, declared through n2", leads+1)
				}
				eager := reads(c, "eager", c.Machines[0], "next", 1000)
				slow := reads(c, "slow", c.Machines[2], "first", 10)
				waiting := reads(c, "waiting", c.Machines[2], int64(n/2), 1000) // for what comes after the change
				p := c.Connect("p", c.Machines[0])
				p.Must(&wire.ConfirmSelect{})
				answered := 0
				for i, body := range numbers(1, n) {
					p.PublishTo("s", body)
					switch {
					case i != n/2-20:
					case how == "kill":
						c.Machines[1].Kill()
					case how == "powercut":
						c.Machines[1].Crash()
					case how == "stop":
						c.Machines[1].Stop()
					default:
						defer c.Isolate(1)()
					}
					if got := strings.Count(slow.Deliveries(0, 0), " ") + 1; got > answered+5 {
						slow.Ack()
						answered = got
					}
					time.Sleep(2 * time.Millisecond)
				}
				p.AwaitConfirms(time.Minute)
				if leads := c.Leads("s"); leads == 1 && how != "isolate" {
					t.Error("leadership has not moved")
				}
				if got := eager.Deliveries(n, 30*time.Second); got != all {
					t.Errorf("who read from the beginning has\n%s", got)
				}
				if got := waiting.Deliveries(n/2, 30*time.Second); got != strings.Join(numbers(n/2+1, n), " ") {
					t.Errorf("who waited for an offset has\n%s", got)
				}
				for answered < n && c.Await(30*time.Second, "more for who reads slowly", func() bool {
					return strings.Count(slow.Deliveries(0, 0), " ")+1 > answered
				}) {
					answered = strings.Count(slow.Deliveries(0, 0), " ") + 1
					slow.Ack()
				}
				if got := slow.Deliveries(n, time.Second); got != all {
					t.Errorf("who read slowly has\n%s", got)
				}
				if how == "isolate" {
					return
				}
				for _, m := range c.Machines {
					m.Crash()
				}
				for _, m := range c.Machines {
					m.Start()
				}
				if !c.AwaitReady(time.Minute) {
					return
				}
				for _, m := range c.Machines {
					if got := reads(c, "again-"+m.Name, m, int64(n-10), 1000).Deliveries(10, 30*time.Second); got != strings.Join(numbers(n-9, n), " ") {
						t.Errorf("after all were dark %s reads %s", m.Name, got)
					}
				}
			})
		})
	}
}
