// Command warren is the broker: `warren server` runs a node, `warren dev` a
// cluster on this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "warren:", strings.ReplaceAll(err.Error(), "\n", "; ")) // one line, also of joined errors
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "warren",
		Short:         "Warren is a clustered message broker that speaks AMQP 0-9-1",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,

		DisableSuggestions: true, // an error is one line
	}
	root.AddCommand(serverCommand(), devCommand(), logCommand())
	return root
}
