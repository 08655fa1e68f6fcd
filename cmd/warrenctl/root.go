package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/cmd/control"
)

// options are rabbitmqctl's global ones.
type options struct {
	data      string
	vhost     string
	formatter string
	quiet     bool
	silent    bool
	noHeaders bool
	timeout   float64
}

// call is one run of a command.
type call struct {
	*options
	ctx  context.Context
	node *control.Client
	in   io.Reader
	out  io.Writer
}

// action is what a command does with its arguments.
type action func(c *call, args []string) error

// tool is the command line.
type tool struct {
	options
	root *cobra.Command
}

func command() *cobra.Command {
	t := &tool{root: &cobra.Command{
		Use: "warrenctl", Short: "Ask a running Warren node about itself and its cluster, and change its definitions",
		Version: version, SilenceUsage: true, SilenceErrors: true, DisableSuggestions: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &failure{exitUsage, fmt.Sprintf("Command '%s' not found. Try warrenctl --help", args[0])}
			}
			return cmd.Help()
		},
	}}
	f := t.root.PersistentFlags()
	f.StringVar(&t.data, "data", cmp.Or(os.Getenv("WARREN_DATA"), "data/node1"), "data folder of a node on this machine")
	f.StringVarP(&t.vhost, "vhost", "p", "/", "virtual host")
	f.StringVar(&t.formatter, "formatter", "table", "table, json or csv")
	f.BoolVarP(&t.quiet, "quiet", "q", false, "no informational lines")
	f.BoolVarP(&t.silent, "silent", "s", false, "no informational lines, no table headers")
	f.BoolVar(&t.noHeaders, "no-table-headers", false, "no table headers")
	f.Float64VarP(&t.timeout, "timeout", "t", 60, "seconds to wait for the node")
	for _, ignored := range []string{"longnames", "print-stacktrace"} {
		f.Bool(ignored, false, "accepted for scripts; has no effect")
		_ = f.MarkHidden(ignored)
	}
	for _, ignored := range []string{"erlang-cookie", "rabbitmq-home", "script-name"} {
		f.String(ignored, "", "accepted for scripts; has no effect")
		_ = f.MarkHidden(ignored)
	}
	f.StringP("node", "n", "", "accepted for scripts: the node is the one of --data")
	t.root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &failure{exitUsage, err.Error()} })

	t.vhosts()
	t.users()
	t.permissions()
	t.policies()
	t.limits()
	t.queues()
	t.connections()
	t.nodes()
	t.members()
	t.listings()
	return t.root
}

// add adds a command that takes from least to most arguments; most < 0: any number.
func (t *tool) add(use, short string, least, most int, run action) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) < least:
				return &failure{exitUsage, "not enough arguments.\nUsage: warrenctl " + use}
			case most >= 0 && len(args) > most:
				return &failure{exitUsage, "too many arguments.\nUsage: warrenctl " + use}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch t.formatter {
			case "table", "json", "csv", "pretty_table", "string", "erlang":
			default:
				return &failure{exitUsage, fmt.Sprintf("formatter %q: want table, json or csv", t.formatter)}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Duration(t.timeout*float64(time.Second)))
			defer cancel()
			return run(&call{&t.options, ctx, control.NewClient(t.data), cmd.InOrStdin(), cmd.OutOrStdout()}, args)
		},
	}
	t.root.AddCommand(cmd)
	return cmd
}

// banner says what is being done, unless that would be in a script's way.
func (c *call) banner(format string, args ...any) {
	if !c.quiet && !c.silent && c.formatter != "json" && c.formatter != "csv" {
		fmt.Fprintf(c.out, format+"\n", args...)
	}
}

// succeeded ends a command that has nothing to show.
func (c *call) succeeded(err error) error {
	if err == nil && c.formatter == "json" {
		fmt.Fprintln(c.out, `{"result":"ok"}`)
	}
	return err
}
