package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/test/cluster"
	"github.com/warrenmq/warren/test/proof/traffic"
)

// startLimit is how long a cluster may take from the first process to serving.
const startLimit = 30 * time.Second

// withCluster runs do on a fresh cluster and says where its logs are when it fails.
func withCluster(ctx context.Context, r *run, o cluster.Options, do func(*cluster.Warren) error) (err error) {
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	w, err := cluster.Run(starting, o)
	if err != nil {
		return fmt.Errorf("start of the cluster: %w", err)
	}
	defer func() {
		if err != nil && r.keep {
			w.Keep()
			r.printf("logs and data are in %s", w.Dir)
		}
		err = errors.Join(err, w.Close())
	}()
	if err := do(w); err != nil {
		return err
	}
	return panicked(w.Nodes)
}

// panicked says which node crashed by itself.
func panicked(nodes []*cluster.Node) error {
	for _, n := range nodes {
		for _, mark := range []string{"panic:", "fatal error:"} {
			if lines := n.Log.Matching(0, mark); len(lines) > 0 {
				return fmt.Errorf("%s crashed: %s", n.Name, lines[0])
			}
		}
	}
	return nil
}

// onChannel connects, runs do and disconnects.
func onChannel(ctx context.Context, addr string, do func(*amqp.Channel) error) error {
	c, err := traffic.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Drop()
	ch, err := c.Channel()
	if err != nil {
		return fmt.Errorf("channel on %s: %w", addr, err)
	}
	return do(ch)
}

// declare declares a durable queue through a node.
func declare(ctx context.Context, n *cluster.Node, queue string) error {
	return onChannel(ctx, n.AMQP, func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
			return fmt.Errorf("declare %q through %s: %w", queue, n.Name, err)
		}
		return nil
	})
}

// ready is the number of ready messages of a queue as a node tells it.
func ready(ctx context.Context, n *cluster.Node, queue string) (count int, err error) {
	err = onChannel(ctx, n.AMQP, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			return fmt.Errorf("ask for %q through %s: %w", queue, n.Name, err)
		}
		count = q.Messages
		return nil
	})
	return count, err
}

// background runs what lives beside a proof, and waits for its end.
type background struct {
	all    sync.WaitGroup
	cancel context.CancelFunc
}

func inBackground(ctx context.Context, run ...func(context.Context) error) *background {
	ctx, cancel := context.WithCancel(ctx)
	b := &background{cancel: cancel}
	for _, f := range run {
		b.all.Go(func() { f(ctx) })
	}
	return b
}

// stop ends it and waits.
func (b *background) stop() {
	b.cancel()
	b.all.Wait()
}

// others is the nodes except n, in a ring after it.
func others(nodes []*cluster.Node, n *cluster.Node) []*cluster.Node {
	for i := range nodes {
		if nodes[i] == n {
			return append(append([]*cluster.Node{}, nodes[i+1:]...), nodes[:i]...)
		}
	}
	return nodes
}

// limited is ctx with a limit, for one wait.
func limited(ctx context.Context, d time.Duration, wait func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return wait(ctx)
}
