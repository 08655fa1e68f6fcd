// Command warrenctl asks a running node about itself and its cluster.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/cmd/control"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "warrenctl:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var data, format string
	root := &cobra.Command{
		Use: "warrenctl", Short: "Ask a running Warren node about itself and its cluster",
		Version: version, SilenceUsage: true, SilenceErrors: true, DisableSuggestions: true,
	}
	root.PersistentFlags().StringVar(&data, "data", envOr("WARREN_DATA", "data/node1"), "data folder of a node on this machine")
	status := &cobra.Command{
		Use: "cluster_status", Short: "Nodes, queue groups and their leaders", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("formatter %q: want table or json", format)
			}
			s, err := control.Get(cmd.Context(), data)
			if err != nil {
				return err
			}
			if format == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			return print(cmd.OutOrStdout(), s)
		},
	}
	status.Flags().StringVar(&format, "formatter", "table", "table or json")
	root.AddCommand(status)
	return root
}

func envOr(key, value string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return value
}

func print(out io.Writer, s *control.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	names := make(map[string]string)
	for _, n := range s.Nodes {
		names[n.ID] = n.Name
	}
	name := func(id string) string {
		if n := names[id]; n != "" {
			return n
		}
		return id
	}
	fmt.Fprintf(w, "cluster %s, meta leader %s\n\nNODE\tAMQP\tALIVE\tID\n", s.ClusterID, name(s.Meta.Leader))
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%v\t%s\n", n.Name, n.AMQP, n.Alive, n.ID)
	}
	fmt.Fprintln(w, "\nGROUP\tLEADER\tPREFERRED\tREPLICAS\tAPPLIED")
	for _, g := range s.Groups {
		replicas := make([]string, len(g.Replicas))
		for i, id := range g.Replicas {
			replicas[i] = name(id)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\n", g.ID, name(g.Leader), name(g.Preferred), strings.Join(replicas, " "), g.Applied)
	}
	return w.Flush()
}
