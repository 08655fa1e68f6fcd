package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
)

const (
	secret      = "the secret of this cluster"
	otherSecret = "the secret of another one"

	refusedMark   = "refused" // begins what a node logs about a refusal
	refusedWithin = 20 * time.Second
	repeatWatch   = 10 * time.Second // how long the line must not come again
)

// stranger starts nodes that do not belong to a cluster beside it.
func stranger(ctx context.Context, r *run) error {
	return withCluster(ctx, r, cluster.Options{Secret: secret}, func(w *cluster.Warren) error {
		var errs []error
		for _, s := range []struct {
			what string
			make func(context.Context, *cluster.Warren) (*cluster.Node, error)
			here []string // what the line of the cluster's nodes says, beside the mark
		}{
			{"a wrong secret", wrongSecret, []string{"secret"}},
			{"a node of another cluster", otherCluster, []string{"cluster", "outsider@"}},
			{"a second node of the same name", sameName, []string{"name", "n2@"}},
		} {
			if err := refusedStranger(ctx, r, w, s.what, s.make, s.here); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.what, err))
			}
		}
		return errors.Join(errs...)
	})
}

func wrongSecret(_ context.Context, w *cluster.Warren) (*cluster.Node, error) {
	return w.Stranger("intruder", cluster.Options{Secret: otherSecret}, w.Seeds())
}

// otherCluster is a node that formed a cluster of its own before it was told of this one.
func otherCluster(ctx context.Context, w *cluster.Warren) (*cluster.Node, error) {
	n, err := w.Stranger("outsider", cluster.Options{Secret: secret, Size: 1}, nil)
	if err != nil {
		return nil, err
	}
	if err := n.Start(); err != nil {
		return nil, err
	}
	if err := limited(ctx, startLimit, n.AwaitReady); err != nil {
		return nil, err
	}
	if err := n.Stop(ctx); err != nil {
		return nil, err
	}
	n.Use("--seeds", strings.Join(w.Seeds(), ","))
	return n, nil
}

func sameName(_ context.Context, w *cluster.Warren) (*cluster.Node, error) {
	return w.Stranger("n2", cluster.Options{Secret: secret}, w.Seeds())
}

// refusedStranger starts it, waits for a line about it on both sides, and
// checks that the line is not repeated and the cluster is what it was.
func refusedStranger(ctx context.Context, r *run, w *cluster.Warren, what string, make func(context.Context, *cluster.Warren) (*cluster.Node, error), here []string) error {
	before, err := members(ctx, w)
	if err != nil {
		return err
	}
	s, err := make(ctx, w)
	if err != nil {
		return err
	}
	marks := map[*cluster.Node]int{s: s.Log.Mark()}
	for _, n := range w.Nodes {
		marks[n] = n.Log.Mark()
	}
	if err := s.Start(); err != nil {
		return err
	}
	defer s.Kill()
	told, err := linesOnBothSides(ctx, w, s, marks, here)
	r.printf("%s:", what)
	for _, line := range told {
		r.printf("    %s", line)
	}
	if err != nil {
		return err
	}
	select {
	case <-time.After(repeatWatch): // that it does not come again shows only with time
	case <-ctx.Done():
		return ctx.Err()
	}
	for n, mark := range marks {
		if lines := n.Log.Matching(mark, refusedMark); repeats(lines) {
			return fmt.Errorf("%s repeats itself, %d lines:\n%s", n.Name, len(lines), strings.Join(lines, "\n"))
		}
	}
	after, err := members(ctx, w)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return fmt.Errorf("the cluster was %v and is %v", before, after)
	}
	return stillServes(ctx, w)
}

// repeats says whether two lines say the same. A stranger may refuse each of
// the nodes that it meets, with a line for each.
func repeats(lines []string) bool {
	said := make(map[string]bool)
	for _, line := range lines {
		_, text, _ := strings.Cut(line, " msg=") // without the time
		text, _, _ = strings.Cut(text, " error=")
		if said[text] {
			return true
		}
		said[text] = true
	}
	return false
}

// linesOnBothSides waits for the stranger's line and one of the cluster's.
func linesOnBothSides(ctx context.Context, w *cluster.Warren, s *cluster.Node, marks map[*cluster.Node]int, here []string) (told []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, refusedWithin)
	defer cancel()
	theirs, err := s.Log.Await(ctx, marks[s], refusedMark)
	if err != nil {
		return nil, fmt.Errorf("the stranger says nothing: %w; its log ends with:\n%s", err, s.Log.Tail(10))
	}
	told = append(told, "stranger: "+theirs)
	first := make(chan string, len(w.Nodes))
	for _, n := range w.Nodes {
		go func() {
			if line, err := n.Log.Await(ctx, marks[n], append([]string{refusedMark}, here...)...); err == nil {
				first <- n.Name + ": " + line
			}
		}()
	}
	select {
	case line := <-first:
		return append(told, line), nil
	case <-ctx.Done():
		return told, fmt.Errorf("no node of the cluster says a word about %s with %q", s.Name, here)
	}
}

// members is the nodes as the first one knows them.
func members(ctx context.Context, w *cluster.Warren) ([]string, error) {
	s, err := w.Nodes[0].Status(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, n := range s.Nodes {
		ids = append(ids, fmt.Sprintf("%s alive=%v", n.ID, n.Alive))
	}
	slices.Sort(ids)
	return ids, nil
}

// stillServes declares through one node and publishes with a confirm through another.
func stillServes(ctx context.Context, w *cluster.Warren) error {
	if err := declare(ctx, w.Nodes[0], "after-strangers"); err != nil {
		return err
	}
	return onChannel(ctx, w.Nodes[1].AMQP, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return fmt.Errorf("confirm mode: %w", err)
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "after-strangers", false, false, amqp.Publishing{Body: []byte("x")})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		return limited(ctx, refusedWithin, func(ctx context.Context) error {
			if ok, err := c.WaitContext(ctx); err != nil || !ok {
				return errors.Join(errors.New("the cluster does not confirm any more"), err)
			}
			return nil
		})
	})
}
