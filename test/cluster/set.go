package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
)

// Set is nodes that belong together and the folder that holds all of theirs.
type Set struct {
	Nodes []*Node
	Dir   string

	after []func() error // what ends after the nodes
	keep  bool           // leave the folder
}

// Addrs is the AMQP addresses, in the nodes' order.
func (s *Set) Addrs() []string {
	var addrs []string
	for _, n := range s.Nodes {
		addrs = append(addrs, n.AMQP)
	}
	return addrs
}

// Usage sums up all nodes.
func (s *Set) Usage() (Usage, error) {
	var sum Usage
	for _, n := range s.Nodes {
		u, err := n.Usage()
		if err != nil {
			return Usage{}, err
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
	}
	return sum, nil
}

// Start starts every node that does not run and waits until all serve.
func (s *Set) Start(ctx context.Context) error {
	for _, n := range s.Nodes {
		if n.Running() {
			continue
		}
		if err := n.Start(); err != nil {
			return err
		}
	}
	return s.AwaitReady(ctx)
}

// AwaitReady waits until every node's latest start serves.
func (s *Set) AwaitReady(ctx context.Context) error {
	return s.each(func(n *Node) error { return n.AwaitReady(ctx) })
}

// Kill is kill -9 of all nodes at once.
func (s *Set) Kill() error { return s.each((*Node).Kill) }

// Stop is SIGTERM to all nodes at once.
func (s *Set) Stop(ctx context.Context) error {
	return s.each(func(n *Node) error { return n.Stop(ctx) })
}

func (s *Set) each(do func(*Node) error) error {
	errs := make([]error, len(s.Nodes))
	var all sync.WaitGroup
	for i, n := range s.Nodes {
		all.Go(func() { errs[i] = do(n) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Keep leaves the folder, with logs and data, for whoever looks into a failure.
func (s *Set) Keep() { s.keep = true }

// Close kills what runs and removes the folder.
func (s *Set) Close() error {
	errs := []error{s.Kill()}
	for _, end := range s.after {
		errs = append(errs, end())
	}
	for _, n := range s.Nodes {
		errs = append(errs, n.Log.close())
	}
	if !s.keep {
		if err := os.RemoveAll(s.Dir); err != nil {
			errs = append(errs, fmt.Errorf("remove %s: %w", s.Dir, err))
		}
	}
	return errors.Join(errs...)
}
