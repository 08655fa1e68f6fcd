package compat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warrenmq/warren/test/cluster"
)

// Styles is the call styles of pika: of its 0.x tutorials and of today's.
var Styles = [...]string{"old", "new"}

// restartLimit is how long a killed cluster may take to serve again.
const restartLimit = 60 * time.Second

// Tutorial runs every shape in both styles with publisher and consumer on every
// pair of nodes, and the durable queue across an end of all nodes. It tells
// each script's cases, and returns at the first script that cannot go on.
func Tutorial(ctx context.Context, s *cluster.Set, end func() error, tell func(where string, cases []Case)) error {
	for _, style := range Styles {
		for i, p := range s.Nodes {
			for j, c := range s.Nodes {
				cases, err := Script(ctx, "tutorial.py", style, p.AMQP, c.AMQP, fmt.Sprintf("%s%d%d", style, i, j))
				if err != nil {
					return err
				}
				tell(fmt.Sprintf("%s style, publisher on %s, consumer on %s", style, p.Name, c.Name), cases)
			}
		}
	}
	return durable(ctx, s, end, tell)
}

// durable declares and publishes through each node, ends all of them, starts
// them again, and consumes through the next node.
func durable(ctx context.Context, s *cluster.Set, end func() error, tell func(string, []Case)) error {
	each := func(shape string) error {
		for _, style := range Styles {
			for i, p := range s.Nodes {
				c := s.Nodes[(i+1)%len(s.Nodes)]
				cases, err := Script(ctx, "tutorial.py", style, p.AMQP, c.AMQP, fmt.Sprintf("%s%d", style, i), shape)
				if err != nil {
					return err
				}
				tell(fmt.Sprintf("%s style, publisher on %s, consumer on %s", style, p.Name, c.Name), cases)
			}
		}
		return nil
	}
	if err := each("durable_send"); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, restartLimit)
	defer cancel()
	if err := s.Start(starting); err != nil {
		return fmt.Errorf("after the end of all nodes: %w", err)
	}
	return each("durable_receive")
}

// Failures joins what failed.
func Failures(where string, cases []Case) error {
	var errs []error
	for _, c := range cases {
		if c.Err != nil {
			errs = append(errs, fmt.Errorf("%s, %s: %w", c.Name, where, c.Err))
		}
	}
	return errors.Join(errs...)
}
