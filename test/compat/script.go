package compat

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

// python is Debian's, which has Debian's pika; others on the PATH may not.
const python = "/usr/bin/python3"

// scriptLimit bounds one run of a script.
const scriptLimit = 3 * time.Minute

// Case is what a script says about one of its cases.
type Case struct {
	Name string
	Err  error
}

// Script runs one of the scripts in this folder. The error is about the
// script as a whole; what failed in it is told case by case.
func Script(ctx context.Context, name string, args ...string) ([]Case, error) {
	root, err := cluster.Root()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, scriptLimit)
	defer cancel()
	path := filepath.Join(root, "test", "compat", name)
	cmd := exec.CommandContext(ctx, python, append([]string{"-B", path}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	cases := parse(out)
	failed := false
	for _, c := range cases {
		failed = failed || c.Err != nil
	}
	switch {
	case err == nil && len(cases) > 0:
		return cases, nil
	case failed && ctx.Err() == nil: // exit code 1 is explained
		return cases, nil
	default:
		return cases, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), errors.Join(err, ctx.Err()), stderr.Bytes())
	}
}

// parse reads the lines "ok <name>" and "FAIL <name>: <why>".
func parse(out []byte) []Case {
	var cases []Case
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		verdict, rest, _ := strings.Cut(lines.Text(), " ")
		switch verdict {
		case "ok":
			cases = append(cases, Case{Name: rest})
		case "FAIL":
			name, why, _ := strings.Cut(rest, ": ")
			cases = append(cases, Case{name, errors.New(why)})
		}
	}
	return cases
}
