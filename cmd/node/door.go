package node

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// door is a listener that can be shut for a while: whoever knocks then is refused by the
// machine, as if nothing ran here.
type door struct {
	addr   net.Addr
	listen func(addr string) (net.Listener, error)

	mu      sync.Mutex
	ln      net.Listener  // nil while it is shut
	changed chan struct{} // closed and replaced when ln changes
	closed  bool
}

// openDoor listens at addr.
func openDoor(addr string, listen func(addr string) (net.Listener, error)) (*door, error) {
	ln, err := listen(addr)
	if err != nil {
		return nil, err
	}
	return &door{addr: ln.Addr(), listen: listen, ln: ln, changed: make(chan struct{})}, nil
}

// Addr is where it listens, also while it is shut.
func (d *door) Addr() net.Addr { return d.addr }

// Accept waits while the door is shut.
func (d *door) Accept() (net.Conn, error) {
	for {
		d.mu.Lock()
		ln, changed, closed := d.ln, d.changed, d.closed
		d.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case ln == nil:
			<-changed
			continue
		}
		conn, err := ln.Accept()
		if err == nil {
			return conn, nil
		}
		d.mu.Lock()
		same := d.ln == ln && !d.closed
		d.mu.Unlock()
		if same {
			return nil, err
		}
	}
}

// Shut refuses whoever comes from now on.
func (d *door) Shut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ln == nil {
		return nil
	}
	return d.change(nil)
}

// Open lets clients in again.
func (d *door) Open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ln != nil || d.closed {
		return nil
	}
	ln, err := d.listen(d.addr.String())
	if err != nil {
		return fmt.Errorf("listen on %s again: %w", d.addr, err)
	}
	return d.change(ln)
}

// Close ends it for good.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	return d.change(nil)
}

// change replaces the listener. The caller holds mu.
func (d *door) change(ln net.Listener) (err error) {
	if d.ln != nil {
		err = d.ln.Close()
	}
	d.ln = ln
	close(d.changed)
	d.changed = make(chan struct{})
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
