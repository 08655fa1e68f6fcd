package node

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/warrenmq/warren/cluster/peer/memconn"
)

func TestADoorThatIsShutRefusesUntilItIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memconn.New()
		d, err := openDoor("n:5672", network.Listen)
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error)
		go func() {
			for {
				c, err := d.Accept()
				if err == nil {
					c.Close()
				}
				accepted <- err
				if err != nil {
					return
				}
			}
		}()
		knock := func() error {
			c, err := network.Dialer("client")(t.Context(), "n:5672")
			if err == nil {
				c.Close()
			}
			return err
		}
		for range 2 {
			if err := knock(); err != nil {
				t.Errorf("an open door: %v", err)
			}
			if err := <-accepted; err != nil {
				t.Errorf("Accept: %v", err)
			}
			if err := errors.Join(d.Shut(), d.Shut()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if err := knock(); err == nil {
				t.Error("a door that is shut lets somebody in")
			}
			if err := errors.Join(d.Open(), d.Open()); err != nil {
				t.Error(err)
			}
		}
		if err := d.Shut(); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept at a closed door: %v", err)
		}
		if err := d.Open(); err != nil {
			t.Error(err)
		}
		if err := knock(); err == nil {
			t.Error("a closed door was opened")
		}
	})
}
