package node

// listenTLS opens the door for AMQP clients with TLS.
func (n *Node) listenTLS() (*door, error) {
	files := n.cfg.TLS
	files.Logger = n.logger
	var err error
	if n.clientTLS, err = files.Config(); err != nil {
		return nil, err
	}
	return openDoor(n.cfg.TLSListen, n.cfg.World.Listen)
}
