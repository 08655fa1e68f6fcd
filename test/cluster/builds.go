package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// NextBinary is the program of this tree that knows one level more than the one under test.
var NextBinary = sync.OnceValues(func() (string, error) { return build("warren-level2", "-tags", "level2") })

// Become has all later starts run another program.
func (n *Node) Become(binary string) {
	n.argv = slices.Clone(n.argv)
	n.argv[0] = binary
}

// Digest sums up the state of a node's replica of a queue group.
type Digest struct {
	ID      uint64 `json:"id"`
	Last    uint64 `json:"last"`
	Level   uint64 `json:"level"`
	Hash    uint64 `json:"hash,string"`
	Batches uint64 `json:"batches"`
}

// Digests asks the node over its socket.
func (n *Node) Digests(ctx context.Context) ([]Digest, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://warren/digests", nil)
	if err != nil {
		return nil, fmt.Errorf("digests of %s: %w", n.Name, err)
	}
	resp, err := n.control().Do(req)
	if err != nil {
		return nil, fmt.Errorf("digests of %s: %w", n.Name, err)
	}
	defer resp.Body.Close()
	var list []Digest
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("digests of %s: %s", n.Name, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("digests of %s: %w", n.Name, err)
	}
	return list, nil
}
