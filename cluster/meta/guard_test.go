package meta

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// brokenLog fails whatever is written to it, after a while.
type brokenLog struct {
	raft.LogStore
	after time.Duration
}

func (b brokenLog) StoreLogs([]*raft.Log) error {
	time.Sleep(b.after)
	return syscall.EIO
}

// A write that fails, or hangs, ends the meta group and with it the process.
func TestAFailedWriteEndsTheMetaGroup(t *testing.T) {
	const limit = 3 * time.Second
	for _, after := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard(limit)
			ended := make(chan error, 1)
			go func() { ended <- g.run(context.WithoutCancel(t.Context())) }()
			written := make(chan error, 1)
			begin := time.Now()
			go func() { written <- guardedLog{brokenLog{after: after}, g}.StoreLog(&raft.Log{Index: 1}) }()
			err := <-ended
			took := time.Since(begin)
			if err == nil || (after == 0) != errors.Is(err, syscall.EIO) || took > 2*limit {
				t.Errorf("a write that fails after %v: ended after %v with %v", after, took, err)
			}
			if err := <-written; !errors.Is(err, syscall.EIO) {
				t.Errorf("the write: %v", err)
			}
		})
	}
}
