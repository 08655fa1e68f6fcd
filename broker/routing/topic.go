package routing

import (
	"strings"

	"github.com/warrenmq/warren/broker/topology"
)

// topic leads by patterns: words between dots, * for one word, # for any number.
// The patterns are a trie, which a key runs through once, word by word, with the
// set of nodes that the words so far can lead to. That set holds no node twice, so
// that a publish costs at most words times nodes, whatever the patterns are.
type topic struct {
	root  node
	slots int   // of hash nodes: see node.slot
	free  []int // slots that no node has
}

// node is a prefix of patterns.
type node struct {
	words map[string]*node
	star  *node
	hash  *node // a node reached by #; it has words only, because patterns are normal
	leaf  targets
	slot  int // of a hash node: its place among the marks of a search
}

func newTopic() *topic { return &topic{} }

// normal splits a pattern into words and puts every run of wildcards into one
// order, stars first and one # at most: #.*.# and *.# mean the same.
func normal(pattern string) []string {
	if pattern == "" {
		return nil
	}
	words := strings.Split(pattern, ".")
	out := words[:0]
	hash := false
	for _, word := range words {
		switch word {
		case "#":
			hash = true
			continue
		case "*":
		default:
			if hash {
				out = append(out, "#")
				hash = false
			}
		}
		out = append(out, word)
	}
	if hash {
		out = append(out, "#")
	}
	return out
}

func (t *topic) add(b *topology.Binding, to target) {
	n := &t.root
	for _, word := range normal(b.RoutingKey) {
		next := n.child(word)
		if next == nil {
			next = t.grow(n, word)
		}
		n = next
	}
	n.leaf.add(to)
}

func (t *topic) remove(b *topology.Binding, to target) {
	words := normal(b.RoutingKey)
	path := make([]*node, 1, len(words)+1)
	path[0] = &t.root
	for i, word := range words {
		n := path[i].child(word)
		if n == nil {
			return
		}
		path = append(path, n)
	}
	path[len(words)].leaf.remove(to)
	for i := len(words); i > 0 && path[i].useless(); i-- {
		t.prune(path[i-1], words[i-1])
	}
}

func (n *node) child(word string) *node {
	switch word {
	case "*":
		return n.star
	case "#":
		return n.hash
	default:
		return n.words[word]
	}
}

func (n *node) useless() bool {
	return n.leaf.empty() && len(n.words) == 0 && n.star == nil && n.hash == nil
}

func (t *topic) grow(n *node, word string) *node {
	next := &node{}
	switch word {
	case "*":
		n.star = next
	case "#":
		n.hash = next
		if last := len(t.free) - 1; last >= 0 {
			next.slot, t.free = t.free[last], t.free[:last]
		} else {
			next.slot = t.slots
			t.slots++
		}
	default:
		if n.words == nil {
			n.words = make(map[string]*node)
		}
		n.words[word] = next
	}
	return next
}

func (t *topic) prune(n *node, word string) {
	switch word {
	case "*":
		n.star = nil
	case "#":
		t.free = append(t.free, n.hash.slot)
		n.hash = nil
	default:
		delete(n.words, word)
	}
}

// topicScratch is the space a search needs.
type topicScratch struct {
	current, next []*node // nodes that are not hashes: reached by the words so far, by one more
	hashes        []*node // hash nodes with words behind them: reached once, they stay reached
	marks         []uint32
	stamp         uint32 // a hash node whose mark this is has been reached
}

func (t *topic) match(w *walk) {
	for i := -1; i < len(w.also); i++ {
		t.matchKey(w, w.keyAt(i))
	}
}

func (t *topic) matchKey(w *walk, key string) {
	s := &w.topic
	s.begin(t.slots)
	s.enter(&t.root, w)
	for rest, more := key, key != ""; more; {
		var word string
		word, rest, more = strings.Cut(rest, ".")
		s.current, s.next = s.next, s.current[:0]
		before := len(s.hashes)
		for _, n := range s.current {
			if c := n.words[word]; c != nil {
				s.enter(c, w)
			}
			if n.star != nil {
				s.enter(n.star, w)
			}
		}
		for _, n := range s.hashes[:before] {
			if c := n.words[word]; c != nil {
				s.enter(c, w)
			}
		}
		if len(s.next) == 0 && len(s.hashes) == 0 {
			break // nothing can match any more
		}
	}
	for _, n := range s.next {
		w.visit(&n.leaf)
	}
}

// enter reaches n, which no other node leads to, and the hash node behind it: that
// one takes all words to come, so its own bindings have matched already.
func (s *topicScratch) enter(n *node, w *walk) {
	s.next = append(s.next, n)
	h := n.hash
	if h == nil || s.marks[h.slot] == s.stamp {
		return
	}
	s.marks[h.slot] = s.stamp
	w.visit(&h.leaf)
	if len(h.words) > 0 {
		s.hashes = append(s.hashes, h)
	}
}

func (s *topicScratch) begin(slots int) {
	if len(s.marks) < slots {
		s.marks = make([]uint32, slots+slots/2)
		s.stamp = 0
	}
	if s.stamp++; s.stamp == 0 { // once in 2^32 searches the marks are old enough to lie
		clear(s.marks)
		s.stamp = 1
	}
	s.next, s.hashes = s.next[:0], s.hashes[:0]
}
