// Command tally reads the events of go test -json: it prints a line a package
// and all that a failed test wrote, adds what passed, failed and was skipped to
// the counts in a file, and fails when a test did.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// counts is how tests ended; a package that does not build or ends outside of
// a test counts as one failed test.
type counts struct{ Passed, Failed, Skipped int }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go test -json ... | tally FILE")
		os.Exit(2)
	}
	total, err := read(os.Args[1])
	if err == nil {
		var c counts
		c, err = tally(os.Stdin, os.Stdout)
		total.Passed += c.Passed
		total.Failed += c.Failed
		total.Skipped += c.Skipped
		if e := write(os.Args[1], total); e != nil {
			err = errors.Join(err, e)
		}
		if err == nil && c.Failed > 0 {
			os.Exit(1)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(file string) (c counts, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("counts in %s: %w", file, err)
	}
	return c, nil
}

func write(file string, c counts) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	return nil
}

// key is a test of a package; the package itself has none.
type key struct{ pkg, test string }

// tally follows the events and prints as packages end.
func tally(in io.Reader, out io.Writer) (counts, error) {
	var total counts
	output := make(map[key][]string)
	failed := make(map[string]int) // tests that failed, by package
	passed := make(map[string]int)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, fmt.Errorf("events: %w", err)
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprint(out, string(line)) // not an event: the go command itself
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "output", "build-output":
			if e.Action == "build-output" {
				k = key{e.ImportPath, ""}
			}
			output[k] = append(output[k], e.Output)
		case "pass", "fail", "skip":
			if e.Test == "" {
				total.endPackage(out, e, failed, passed, output)
				continue
			}
			switch e.Action {
			case "pass":
				total.Passed++
				passed[e.Package]++
			case "fail":
				total.Failed++
				failed[e.Package]++
				fmt.Fprint(out, strings.Join(output[k], ""))
			case "skip":
				total.Skipped++
				fmt.Fprint(out, strings.Join(output[k], ""))
			}
			delete(output, k)
		}
	}
}

// endPackage prints the package's line, and what it wrote when it failed
// without a failed test.
func (c *counts) endPackage(out io.Writer, e event, failed, passed map[string]int, output map[key][]string) {
	if e.Action == "fail" && failed[e.Package] == 0 {
		c.Failed++
		fmt.Fprint(out, strings.Join(output[key{e.FailedBuild, ""}], ""))
		keys := slices.SortedFunc(maps.Keys(output), func(a, b key) int { return strings.Compare(a.test, b.test) })
		for _, k := range keys { // also of the tests that it ended in
			if k.pkg == e.Package {
				fmt.Fprint(out, strings.Join(output[k], ""))
			}
		}
	}
	if n := passed[e.Package] + failed[e.Package]; n > 0 || e.Action == "fail" {
		verdict := "ok  "
		if e.Action == "fail" {
			verdict = "FAIL"
		}
		fmt.Fprintf(out, "%s %-60s %4d tests %7.1f s\n", verdict, e.Package, n, e.Elapsed)
	}
	maps.DeleteFunc(output, func(k key, _ []string) bool { return k.pkg == e.Package })
}
