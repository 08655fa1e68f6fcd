package routing

import (
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/topology"
)

// headers leads by the message's headers, compared with each binding's arguments.
type headers struct {
	bindings []headersBinding
	at       map[string]int // place in bindings by identity
}

type headersBinding struct {
	identity   string
	any        bool
	conditions []condition
	to         targets // one place
}

// condition is an argument that a header must equal, or only be there for when the value is void.
type condition struct {
	header string
	value  any
}

func newHeaders() *headers { return &headers{at: make(map[string]int)} }

func (h *headers) add(b *topology.Binding, to target) {
	hb := headersBinding{identity: b.Identity()}
	if _, ok := h.at[hb.identity]; ok {
		return
	}
	var withX bool
	switch b.Arguments[topology.HeadersMatch] {
	case "any":
		hb.any = true
	case "any-with-x":
		hb.any, withX = true, true
	case "all-with-x":
		withX = true
	}
	for name, value := range b.Arguments {
		if name == topology.HeadersMatch || !withX && strings.HasPrefix(name, "x-") {
			continue
		}
		hb.conditions = append(hb.conditions, condition{name, value})
	}
	hb.to.add(to)
	h.at[hb.identity] = len(h.bindings)
	h.bindings = append(h.bindings, hb)
}

func (h *headers) remove(b *topology.Binding, _ target) {
	identity := b.Identity()
	i, ok := h.at[identity]
	if !ok {
		return
	}
	last := len(h.bindings) - 1
	h.bindings[i] = h.bindings[last]
	h.at[h.bindings[i].identity] = i
	delete(h.at, identity)
	h.bindings = slices.Delete(h.bindings, last, last+1)
}

func (h *headers) match(w *walk) {
	message := w.readHeaders()
	for i := range h.bindings {
		if b := &h.bindings[i]; b.match(message) {
			w.visit(&b.to)
		}
	}
}

// match: all of no conditions is met, any of none is not.
func (b *headersBinding) match(message topology.Arguments) bool {
	for i := range b.conditions {
		if b.conditions[i].met(message) == b.any {
			return b.any
		}
	}
	return !b.any
}

func (c *condition) met(message topology.Arguments) bool {
	value, ok := message[c.header]
	return ok && (c.value == nil || topology.SameValue(c.value, value))
}
