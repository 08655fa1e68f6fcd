package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/cluster/log"
)

// logCommand explains a node's log without a running node.
func logCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "Explain the log in a data folder, offline"}
	inspect := &cobra.Command{
		Use:   "inspect FOLDER",
		Short: "Show segments, groups and what footers and records say of them; exit code 1 when something is damaged",
		Args:  cobra.ExactArgs(1),
	}
	ranges := inspect.Flags().Bool("ranges", false, "show what each segment holds of each group")
	inspect.RunE = func(cmd *cobra.Command, args []string) error {
		return explain(cmd.OutOrStdout(), args[0], false, *ranges)
	}
	verify := &cobra.Command{
		Use:   "verify FOLDER",
		Short: "Read every entry and compare it with its checksum; exit code 1 when something is damaged",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return explain(cmd.OutOrStdout(), args[0], true, false)
		},
	}
	cmd.AddCommand(inspect, verify)
	return cmd
}

var errDamaged = errors.New("the log is damaged")

// explain writes what is in the log of a data folder, or in a log's own folder.
func explain(out io.Writer, folder string, verify, ranges bool) error {
	if below := filepath.Join(folder, "log"); isFolder(below) {
		folder = below
	}
	r, err := log.Inspect(log.ReadOnlyFS(), filepath.ToSlash(folder), verify)
	if err != nil {
		return err
	}
	if err := writeReport(out, r, ranges); err != nil {
		return err
	}
	if len(r.Damage) > 0 {
		return errDamaged
	}
	if verify {
		_, err = fmt.Fprintln(out, "every entry is what was written")
	}
	return err
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func writeReport(out io.Writer, r *log.Report, ranges bool) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "segment\tstands for\trewritten\tbytes\tstate")
	for _, s := range r.Segments {
		state := "open"
		switch {
		case s.Sealed:
			state = "sealed"
		case s.Torn:
			state = "open, torn tail"
		}
		fmt.Fprintf(w, "%s\t%d to %d\t%d\t%d\t%s\n", s.Name, s.First, s.Through, s.Generation, s.Bytes, state)
		if !ranges {
			continue
		}
		for _, x := range s.Ranges {
			fmt.Fprintf(w, "  group %d\t%s\t%d to %d\t%d here\t\n", x.Group, x.Kind, x.First, x.Last, x.Count)
		}
	}
	fmt.Fprintln(w, "\ngroup\treleased to\tlast\treleased and kept\tadopted\tbytes")
	for _, g := range r.Groups {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\n", g.ID, g.Released, g.Last, g.Kept, g.Adopted, g.Bytes)
	}
	for _, name := range r.Removed {
		fmt.Fprintf(w, "\nnot needed, removed at the next start: %s\n", name)
	}
	for _, d := range r.Damage {
		fmt.Fprintf(w, "\ndamage: %s\n", d)
	}
	return w.Flush()
}
