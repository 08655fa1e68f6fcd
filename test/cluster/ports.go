package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports lie below the range from which the kernel takes the ports of outgoing
// connections: else one of those could sit on a killed node's port.
const (
	firstPort = 20000
	lastPort  = 31999
)

// FreeAddress finds a loopback address that is free for TCP and UDP.
func FreeAddress() (string, error) {
	for range 200 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		if free(addr) {
			return addr, nil
		}
	}
	return "", errors.New("no free port on 127.0.0.1")
}

// freeAddresses finds n different ones.
func freeAddresses(n int) ([]string, error) {
	var found []string
	seen := make(map[string]bool)
	for len(found) < n {
		addr, err := FreeAddress()
		if err != nil {
			return nil, fmt.Errorf("%d of %d addresses: %w", len(found), n, err)
		}
		if !seen[addr] {
			seen[addr] = true
			found = append(found, addr)
		}
	}
	return found, nil
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	p.Close()
	return true
}
