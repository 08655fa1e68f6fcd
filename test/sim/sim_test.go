package sim

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestForms(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(t, 1, 3)
		start := time.Now()
		c.Start()
		c.AwaitReady(60 * time.Second)
		t.Log("ready after", time.Since(start))
		time.Sleep(20 * time.Second)
		c.Close()
		t.Log(c.Failed())
		t.Log(c.log.String())
	})
	t.Log("real", time.Since(began))
}
