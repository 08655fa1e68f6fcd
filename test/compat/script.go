package compat

import (
	"context"
	"path/filepath"
	"time"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/script"
)

// python is Debian's, which has Debian's pika; others on the PATH may not.
const python = "/usr/bin/python3"

// scriptLimit bounds one run of a script.
const scriptLimit = 3 * time.Minute

// Case is what a script says about one of its cases.
type Case = script.Case

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
	return script.Run(ctx, script.Command{Argv: append([]string{python, "-B", path}, args...)})
}
