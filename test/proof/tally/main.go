// Command tally keeps the counts of a run of all tests, suite by suite, in a file:
//
//	go test -json ... | tally FILE SUITE   prints a line a package and all that a failed test wrote
//	tally FILE SUITE pass|fail NAME        counts one step
//	tally FILE SUITE skip WHY              counts a step that cannot be taken here: its name and the reason
//	tally FILE                             prints the table, and what was skipped and why
//
// It exits with 1 when something failed.
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
type counts struct {
	Passed, Failed, Skipped int
	Why                     []string `json:",omitempty"` // of what was skipped: the test and its reason
}

func (c *counts) add(o counts) {
	c.Passed += o.Passed
	c.Failed += o.Failed
	c.Skipped += o.Skipped
	c.Why = append(c.Why, o.Why...)
}

// suite is the counts under one name.
type suite struct {
	Name string
	counts
}

func main() {
	failed, err := run(os.Args[1:], os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) (failed bool, err error) {
	var now counts
	switch {
	case len(args) == 1:
		suites, err := read(args[0])
		if err != nil {
			return false, err
		}
		return table(out, suites), nil
	case len(args) == 2:
		now, err = tally(in, out)
	case len(args) == 4 && args[2] == "pass":
		now.Passed = 1
	case len(args) == 4 && args[2] == "fail":
		fmt.Fprintln(out, "FAIL", args[3])
		now.Failed = 1
	case len(args) == 4 && args[2] == "skip":
		now.Skipped, now.Why = 1, []string{args[3]}
	default:
		return false, errors.New("usage: tally FILE [SUITE [pass|fail NAME | skip WHY]]")
	}
	return now.Failed > 0, errors.Join(err, keep(args[0], args[1], now))
}

// keep adds counts to a suite in the file.
func keep(file, name string, c counts) error {
	suites, err := read(file)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(suites, func(s suite) bool { return s.Name == name })
	if i < 0 {
		i = len(suites)
		suites = append(suites, suite{Name: name})
	}
	suites[i].add(c)
	b, err := json.Marshal(suites)
	if err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	return nil
}

func read(file string) (suites []suite, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &suites)
	}
	if err != nil {
		return nil, fmt.Errorf("counts in %s: %w", file, err)
	}
	return suites, nil
}

// table prints all suites and says whether something failed.
func table(out io.Writer, suites []suite) bool {
	const row = "%-28s %7v %7v %7v\n"
	fmt.Fprintf(out, row, "suite", "passed", "failed", "skipped")
	all := suite{Name: "all"}
	for _, s := range suites {
		fmt.Fprintf(out, row, s.Name, s.Passed, s.Failed, s.Skipped)
		all.add(s.counts)
	}
	fmt.Fprintf(out, row, all.Name, all.Passed, all.Failed, all.Skipped)
	for _, why := range all.Why {
		fmt.Fprintln(out, "skipped:", why)
	}
	return all.Failed > 0
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
				total.Why = append(total.Why, e.Test+": "+reason(output[k]))
				fmt.Fprint(out, strings.Join(output[k], ""))
			}
			delete(output, k)
		}
	}
}

// reason is what a skipped test said, without the lines of go test itself.
func reason(output []string) string {
	var said []string
	for _, l := range output {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "=== ") && !strings.HasPrefix(l, "--- ") {
			said = append(said, l)
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
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
