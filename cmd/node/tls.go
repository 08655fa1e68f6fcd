package node

import "net"

// listenTLS opens the door for AMQP clients with TLS.
func (n *Node) listenTLS() (net.Listener, error) {
	files := n.cfg.TLS
	files.Logger = n.logger
	var err error
	if n.clientTLS, err = files.Config(); err != nil {
		return nil, err
	}
	return n.cfg.World.Listen(n.cfg.TLSListen)
}
