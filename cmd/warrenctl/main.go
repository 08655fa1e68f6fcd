// Command warrenctl asks a running node about itself and its cluster, and
// changes its definitions, under the names of rabbitmqctl's commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "Error:\n%v\n", err)
		os.Exit(exitCode(err))
	}
}
