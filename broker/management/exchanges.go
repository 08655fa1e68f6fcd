package management

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/warrenmq/warren/broker/topology"
)

type exchangeJSON struct {
	Name       string         `json:"name"`
	VHost      string         `json:"vhost"`
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
	Policy     *string        `json:"policy,omitempty"`
}

func showExchange(t *topology.Topology, x *topology.Exchange) exchangeJSON {
	user, _ := t.ExchangePolicies(x)
	return exchangeJSON{x.Name, x.VHost, x.Type, x.Durable, x.AutoDelete, x.Internal, table(x.Arguments), policyName(user)}
}

func (s *Server) exchanges(p params) []exchangeJSON {
	list := []exchangeJSON{}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			if v, one := p["vhost"]; one && v != vhost {
				continue
			}
			for _, x := range t.Exchanges(vhost) {
				list = append(list, showExchange(t, x))
			}
		}
	})
	return list
}

func (s *Server) getExchange(w http.ResponseWriter, _ *http.Request, p params) {
	name := p["exchange"]
	if name == "amq.default" {
		name = ""
	}
	var found *exchangeJSON
	s.cfg.Definitions.View(func(t *topology.Topology) {
		if x := t.Exchange(p["vhost"], name); x != nil {
			j := showExchange(t, x)
			found = &j
		}
	})
	if found == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, found)
}

type bindingJSON struct {
	Source          string         `json:"source"`
	VHost           string         `json:"vhost"`
	Destination     string         `json:"destination"`
	DestinationType string         `json:"destination_type"`
	RoutingKey      string         `json:"routing_key"`
	Arguments       map[string]any `json:"arguments"`
	PropertiesKey   string         `json:"properties_key"`
}

func showBinding(b *topology.Binding) bindingJSON {
	j := bindingJSON{b.Source, b.VHost, b.Destination, "queue", b.RoutingKey, table(b.Arguments), ""}
	if b.ToExchange {
		j.DestinationType = "exchange"
	}
	j.PropertiesKey = propertiesKey(j.RoutingKey, j.Arguments)
	return j
}

// propertiesKey names a binding among those of its two ends. The hash only has to be stable.
func propertiesKey(key string, arguments map[string]any) string {
	switch {
	case len(arguments) == 0 && key == "":
		return "~"
	case len(arguments) == 0:
		return url.QueryEscape(key)
	}
	b, _ := json.Marshal(arguments) // values of table: they can be said
	hash := sha256.Sum256(b)
	return url.QueryEscape(key) + "~" + base64.RawURLEncoding.EncodeToString(hash[:6])
}

// bindings are those of the vhost that the path names, or of all; of each vhost
// the implicit ones, from the default exchange to every queue, come first.
func (s *Server) bindings(p params) []bindingJSON {
	list := []bindingJSON{}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			if v, one := p["vhost"]; one && v != vhost {
				continue
			}
			for _, q := range t.Queues(vhost) {
				list = append(list, showBinding(&topology.Binding{VHost: vhost, Destination: q.Name, RoutingKey: q.Name}))
			}
			for _, b := range t.Bindings(vhost) {
				list = append(list, showBinding(b))
			}
		}
	})
	return list
}

func (s *Server) queueBindings(w http.ResponseWriter, r *http.Request, p params) {
	q, _, ok := s.findQueue(w, p)
	if !ok {
		return
	}
	list := []bindingJSON{showBinding(&topology.Binding{VHost: q.VHost, Destination: q.Name, RoutingKey: q.Name})}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, b := range t.BindingsTo(q.VHost, q.Name, false) {
			list = append(list, showBinding(b))
		}
	})
	replyList(w, r, list)
}
