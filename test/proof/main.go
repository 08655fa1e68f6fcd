// Command proof runs one named demonstration of what Warren promises, against
// real processes, prints its figures and, last, "proof <name>: ok" or
// "proof <name>: FAIL <why>" with that exit code. Without a name it lists them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// proof is one demonstration.
type proof struct {
	name  string
	what  string
	limit time.Duration // of a whole run, for the times asked for by default
	run   func(context.Context, *run) error
}

// proofs is all demonstrations, in the order of the list.
func proofs() []proof {
	return []proof{
		{"tutorial", "every shape of the pika tutorials, old and new call style, through any of three nodes", 10 * time.Minute, tutorial},
		{"failover", "1,000 confirmed msg/s while each node in turn is killed and stopped: nothing lost, doubled or out of order", 30 * time.Minute, failover},
		{"restart", "kill -9 of all three under load, started again in each of six orders: every confirmed message is there", 15 * time.Minute, restart},
		{"minority", "one node left: nothing is confirmed, metadata writes fail clearly, all goes on when the others return", 5 * time.Minute, minority},
		{"bench", "throughput, confirm latency and CPU a message, beside RabbitMQ in the same run", 15 * time.Minute, benchmark},
		{"idle", "an idle cluster: CPU and memory of each node", 3 * time.Minute, idle},
		{"queues", "20,000 replicated queues: declares a second, a killed node, a cold start, idle CPU and memory", 15 * time.Minute, queues},
		{"backlog", "10,000,000 messages in one queue, then drained in order: memory, disk, drain rate, start (-n: millions)", 2 * time.Hour, backlog},
		{"churn", "100 GiB through a queue behind one message that is never acknowledged: disk (-n: GiB)", 2 * time.Hour, churn},
		{"returning", "a node is away for hundreds of MiB: it returns by a snapshot with its bodies, and serves them", 10 * time.Minute, returning},
		{"corruption", "a flipped bit in a leader's log, a leader's disk that hangs: nothing wrong is delivered, others take over, the replica is made anew", 10 * time.Minute, corruption},
		{"diskfull", "a node's disk runs short, then full, then all run short: leaders move, nothing is lost, publishers wait, all recovers", 10 * time.Minute, diskfull},
		{"declare", "1,000,000 queues declared and deleted: memory, disk and open files stay (-n: hundreds of thousands)", 2 * time.Hour, churnDefinitions},
		{"garbage", "random bytes, mutated frames and wrong fields against a live node", 5 * time.Minute, garbage},
		{"flood", "publishers and consumers that take nothing back: each node's memory stays within its budgets", 15 * time.Minute, flood},
		{"elastic", "3 to 5 to 3 nodes, a replaced disk and rolling restarts under 2,000 confirmed msg/s: nothing lost, no gap above 2 s", 30 * time.Minute, elastic},
		{"stranger", "a wrong secret, a node of another cluster, a second node of one name: refused, with a line on both sides", 5 * time.Minute, stranger},
	}
}

// run is what a proof is told and where it prints.
type run struct {
	short bool // as in make test
	times int  // repetitions; 0: the proof's own
	keep  bool // leave folders of failed clusters
	out   io.Writer
}

// printf prints one line of figures.
func (r *run) printf(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// repeat is how often to do something: as told, or once when short, or usual.
func (r *run) repeat(usual int) int {
	switch {
	case r.times > 0:
		return r.times
	case r.short:
		return 1
	default:
		return usual
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
}

// errFailed is a proof that failed and has said so.
var errFailed = errors.New("proof failed")

func command(ctx context.Context, args []string, out io.Writer) error {
	r := &run{out: out}
	flags := flag.NewFlagSet("proof", flag.ContinueOnError)
	flags.BoolVar(&r.short, "short", false, "the short form that make test runs")
	flags.IntVar(&r.times, "n", 0, "how many times to repeat (default: the proof's own)")
	flags.BoolVar(&r.keep, "keep", false, "leave logs and data of a cluster behind after a failure")
	var names []string
	for rest := args; ; { // flags may stand before and after the name
		if err := flags.Parse(rest); err != nil {
			return err
		}
		if flags.NArg() == 0 {
			break
		}
		names, rest = append(names, flags.Arg(0)), flags.Args()[1:]
	}
	if len(names) == 0 {
		for _, p := range proofs() {
			r.printf("%-10s %s", p.name, p.what)
		}
		return nil
	}
	for _, name := range names {
		if err := one(ctx, name, r); err != nil {
			return err
		}
	}
	return nil
}

func one(ctx context.Context, name string, r *run) error {
	for _, p := range proofs() {
		if p.name != name {
			continue
		}
		limit := p.limit * time.Duration(max(1, (r.times+9)/10))
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		begin := time.Now()
		err := p.run(ctx, r)
		r.printf("took %.0f s", time.Since(begin).Seconds())
		if err != nil {
			r.printf("proof %s: FAIL %s", name, strings.ReplaceAll(err.Error(), "\n", "\n    "))
			return errFailed
		}
		r.printf("proof %s: ok", name)
		return nil
	}
	return fmt.Errorf("no proof is named %q; without a name they are listed", name)
}
