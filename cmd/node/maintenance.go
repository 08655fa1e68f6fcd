package node

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/warrenmq/warren/cluster/alarm"
	"github.com/warrenmq/warren/cluster/meta"
)

const (
	// maintenanceText is what clients of a node that is drained are told, in RabbitMQ's words.
	maintenanceText = "Node was put into maintenance mode"
	// maintenanceEvery is how often a drained node looks whether it leads or serves anything.
	maintenanceEvery = time.Second
	// handOverTime bounds how long a node that stops, or is drained, waits for others to
	// take over what it leads.
	handOverTime = 5 * time.Second
)

// Drain puts the node into maintenance: it lets its clients go and no others in, leads
// nothing, and nothing new is placed on it, until it is revived or starts anew. What it
// stores it goes on storing.
func (n *Node) Drain(ctx context.Context) error {
	n.logger.Warn("this node is being put into maintenance (drain) mode")
	if err := n.meta.Maintain(ctx, true); err != nil {
		return err
	}
	n.refuse(maintenance, true)
	err := n.shutDoors()
	n.withdraw(ctx)
	n.logger.Info("drained: ready to be shut down for maintenance or upgrade")
	return err
}

// Revive takes the node out of maintenance.
func (n *Node) Revive(ctx context.Context) error {
	n.logger.Info("this node is being revived from maintenance (drain) mode")
	n.refuse(maintenance, false)
	err := n.clients.Open()
	if n.clientsTLS != nil {
		err = errors.Join(err, n.clientsTLS.Open())
	}
	return errors.Join(err, n.meta.Maintain(ctx, false))
}

func (n *Node) shutDoors() error {
	err := n.clients.Shut()
	if n.clientsTLS != nil {
		err = errors.Join(err, n.clientsTLS.Shut())
	}
	return err
}

// withdraw closes the clients' connections and gives all leaderships away.
func (n *Node) withdraw(ctx context.Context) {
	closed := 0
	for _, c := range n.openConnections() {
		if n.Close(c.Name, maintenanceText) {
			closed++
		}
	}
	if closed > 0 {
		n.logger.Warn("closed client connections for maintenance", "count", closed)
	}
	n.handOver(ctx)
}

// handOver gives all leaderships to others, as far as there are others.
func (n *Node) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	if left := n.host.HandOver(ctx); left > 0 {
		n.logger.Warn("nobody takes over some of the queue groups that are led here", "count", left)
	}
	if err := n.meta.HandOver(); err != nil {
		n.logger.Warn("the meta group is still led here", "error", err)
	}
}

// maintain keeps a drained node drained, and one that is short of disk from leading: a
// connection may have been on its way, an election may have been won, others may have
// room now.
func (n *Node) maintain(ctx context.Context) error {
	tick := time.NewTicker(maintenanceEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		switch {
		case n.refusal.is(maintenance):
			n.withdraw(ctx)
		case n.refusal.is(shortOfDisk):
			n.moveOff(ctx)
		}
	}
}

// moveOff gives to others what is led here while this node is short of disk. The meta
// group may stay: what it writes is little.
func (n *Node) moveOff(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	n.host.HandOver(ctx) // what is left is tried again, and its publishers wait
}

// wanted is the node that should lead a group: nobody in particular while the one that is
// preferred leads nothing.
func (n *Node) wanted(group uint64) string {
	g, _ := n.meta.Group(group)
	if _, known := n.meta.Node(g.Preferred); !known || n.yields(g.Preferred) {
		return ""
	}
	return g.Preferred
}

// yields tells whether a node is known to take no leadership now.
func (n *Node) yields(serverID string) bool {
	node, _ := n.meta.Node(serverID)
	return node.Drained || n.alarms.Short(serverID)&alarm.Disk != 0
}

// setMaintenance serves PUT and DELETE of /maintenance.
func (n *Node) setMaintenance(w http.ResponseWriter, r *http.Request) {
	change := n.Drain
	if r.Method == http.MethodDelete {
		change = n.Revive
	}
	n.logger.Info("audit", "who", "local", "what", r.Method+" "+r.URL.Path)
	answer(w, change(r.Context()))
}

// forgetNode serves DELETE of /nodes/NAME.
func (n *Node) forgetNode(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	n.logger.Info("audit", "who", "local", "what", "forget node", "node", name, "force", r.FormValue("force"))
	answer(w, n.Forget(r.Context(), name, r.FormValue("force") == "true"))
}

// Forget removes another node from the cluster, as meta.Forget says.
func (n *Node) Forget(ctx context.Context, name string, force bool) error {
	return n.meta.Forget(ctx, name, force)
}

// answer says how a change of the cluster went.
func answer(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case errors.Is(err, meta.ErrNotFound):
		code = http.StatusNotFound
	case errors.Is(err, meta.ErrAlive):
		code = http.StatusConflict
	case errors.Is(err, meta.ErrNeeded):
		code = http.StatusPreconditionFailed
	case errors.Is(err, meta.ErrUnavailable):
		code = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), code)
}
