// Command rabbitmq runs the RabbitMQ that scenarios are compared with until it
// is interrupted, so that many runs of the tests can share it:
//
//	go run ./test/compat/rabbitmq /tmp/rabbitmq.json &
//	WARREN_COMPAT_RABBITMQ=/tmp/rabbitmq.json go test ./test/compat/scenarios
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/warrenmq/warren/test/compat/diff"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rabbitmq FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	b, end, err := diff.StartRabbitMQ(ctx)
	if err != nil {
		return err
	}
	if err := b.Save(file); err != nil {
		return errors.Join(err, end())
	}
	fmt.Println("RabbitMQ serves at", b.Addrs[0], "and", b.HTTP)
	<-ctx.Done()
	return errors.Join(os.Remove(file), end())
}
