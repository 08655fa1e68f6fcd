// Command cmd prints the table of make bench: every workload on Warren and,
// where it is installed, on RabbitMQ. It judges nothing; make proof P=bench does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/warrenmq/warren/test/bench"
)

func main() {
	short := flag.Bool("short", false, "the workloads of the proof only")
	only := flag.String("only", "", "workloads whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var workloads []bench.Workload
	for _, w := range bench.Standard(*short) {
		if strings.Contains(w.Name, *only) {
			workloads = append(workloads, w)
		}
	}
	if _, _, err := bench.Run(ctx, os.Stdout, workloads); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
