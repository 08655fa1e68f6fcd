package main

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/compat"
)

// tutorial runs the pika scripts of test/compat through every pair of nodes.
func tutorial(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{}, func(w *cluster.Warren) error {
		passed := 0
		var failed []error
		err := compat.Tutorial(ctx, &w.Set, w.Kill, func(where string, cases []compat.Case) {
			for _, c := range cases {
				if c.Err == nil {
					passed++
				}
			}
			if err := compat.Failures(where, cases); err != nil {
				failed = append(failed, err)
			}
		})
		r.printf("%d shapes passed: %d styles, every pair of %d nodes, before and after a kill of all", passed, len(compat.Styles), len(w.Nodes))
		return errors.Join(append(failed, err)...)
	})
}
