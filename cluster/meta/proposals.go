package meta

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/warrenmq/warren/proto"
)

const (
	maxWaiting      = 4096      // commands of one origin under way; more are refused at once
	maxBatchLength  = 256       // commands in a batch
	maxBatchBytes   = 256 << 10 // of commands in a batch, unless one alone is larger
	maxCommandBytes = 1 << 20
	maxSending      = 4 // batches of one origin under way
	retryPause      = 50 * time.Millisecond
	sendTimeout     = 2 * time.Second // of one attempt; a batch may be sent again safely
)

// proposals are the commands that this node waits for. A command is sent again
// until this node has applied it, or whoever waits for it gives up.
type proposals struct {
	origin string
	epoch  uint64
	wake   chan struct{} // something is unsent

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*proposal
	unsent  []*proposal
}

type proposal struct {
	command *pb.MetaCommand
	bytes   int
	done    chan outcome // buffered, sent to once
}

func newProposals(origin string, epoch uint64) *proposals {
	return &proposals{origin: origin, epoch: epoch, wake: make(chan struct{}, 1), waiting: make(map[uint64]*proposal)}
}

func (p *proposals) add(c *pb.MetaCommand) (*proposal, error) {
	size := proto.Size(c)
	if size > maxCommandBytes {
		return nil, fmt.Errorf("a command of %d bytes is over the limit of %d", size, maxCommandBytes)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) >= maxWaiting {
		return nil, fmt.Errorf("%w: %d commands wait already", ErrUnavailable, maxWaiting)
	}
	p.last++
	c.Number = p.last
	prop := &proposal{command: c, bytes: size, done: make(chan outcome, 1)}
	p.waiting[c.Number] = prop
	p.unsent = append(p.unsent, prop)
	p.signal()
	return prop, nil
}

func (p *proposals) giveUp(prop *proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, prop.command.GetNumber())
}

// finish ends the waits for commands that this process sent.
func (p *proposals) finish(answers []answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range answers {
		if a.origin != p.origin || a.epoch != p.epoch {
			continue
		}
		if prop := p.waiting[a.number]; prop != nil {
			delete(p.waiting, a.number)
			prop.done <- a.outcome
		}
	}
}

// restored ends the waits for commands that a snapshot, installed over this
// node's state, says are applied: how they ended went with the skipped entries.
func (p *proposals) restored(o origins) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, prop := range p.waiting {
		if o.applied(p.origin, p.epoch, number) {
			delete(p.waiting, number)
			prop.done <- outcome{err: fmt.Errorf("%w: applied, but the answer is lost", ErrUnavailable)}
		}
	}
}

// run sends what waits until ctx ends. send returns nil when the batch is
// committed; this node's own apply then ends the waits.
func (p *proposals) run(ctx context.Context, send func(context.Context, *pb.MetaBatch) error) {
	var sends sync.WaitGroup
	defer sends.Wait()
	slots := make(chan struct{}, maxSending)
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
			return
		}
		select {
		case slots <- struct{}{}: // before taking: meanwhile more commands gather
		case <-ctx.Done():
			return
		}
		props, batch := p.take()
		if batch == nil {
			<-slots
			continue
		}
		sends.Go(func() {
			defer func() { <-slots }()
			if err := send(ctx, batch); err != nil {
				pause(ctx, retryPause)
				p.again(props)
			}
		})
	}
}

// take makes a batch of what is unsent.
func (p *proposals) take() ([]*proposal, *pb.MetaBatch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var props []*proposal
	size := 0
	for len(p.unsent) > 0 && len(props) < maxBatchLength {
		next := p.unsent[0]
		if p.waiting[next.command.GetNumber()] == next {
			if size += next.bytes; len(props) > 0 && size > maxBatchBytes {
				break
			}
			props = append(props, next)
		}
		p.unsent = p.unsent[1:]
	}
	if len(p.unsent) > 0 {
		p.signal()
	}
	if len(props) == 0 {
		return nil, nil
	}
	batch := &pb.MetaBatch{Origin: p.origin, Epoch: p.epoch, Floor: p.last}
	for number := range p.waiting {
		batch.Floor = min(batch.Floor, number)
	}
	for _, prop := range props {
		batch.Commands = append(batch.Commands, prop.command)
	}
	return props, batch
}

func (p *proposals) again(props []*proposal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsent = append(props, p.unsent...)
	p.signal()
}

func (p *proposals) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
