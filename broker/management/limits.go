package management

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/topology"
)

type vhostLimitsJSON struct {
	VHost string           `json:"vhost"`
	Value map[string]int64 `json:"value"`
}

type userLimitsJSON struct {
	User  string           `json:"user"`
	Value map[string]int64 `json:"value"`
}

// The limits that there are.
var (
	limitsOfVHosts = []string{"max-connections", "max-queues"}
	limitsOfUsers  = []string{"max-connections", "max-channels"}
)

func (s *Server) vhostLimits(p params) []vhostLimitsJSON {
	list := []vhostLimitsJSON{}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			if v, one := p["vhost"]; one && v != vhost {
				continue
			}
			if limits := t.Limits(vhost); len(limits) > 0 {
				list = append(list, vhostLimitsJSON{vhost, limits})
			}
		}
	})
	return list
}

func (s *Server) userLimits(p params) []userLimitsJSON {
	list := []userLimitsJSON{}
	for _, u := range s.cfg.Access.Users() {
		if name, one := p["user"]; one && name != u.Name {
			continue
		}
		if limits := s.cfg.Access.UserLimits(u.Name); len(limits) > 0 {
			list = append(list, userLimitsJSON{u.Name, limits})
		}
	}
	return list
}

// limit reads a limit's value; where it is none it answers the request.
func limit(w http.ResponseWriter, r *http.Request, name, kind string, names []string) (n int64, ok bool) {
	f, ok := body(w, r, "value")
	if !ok {
		return 0, false
	}
	n, ok = f.integer("value")
	switch {
	case !slices.Contains(names, name):
		badRequest(w, fmt.Sprintf("Validation failed\n\nUnrecognised terms [{%s,%s}] in %s\n", policy.Term(name), policy.Term(f["value"]), kind))
		return 0, false
	case !ok:
		badRequest(w, fmt.Sprintf("Validation failed\n\n%s should be a number, actually was %s\n", name, policy.Term(f["value"])))
		return 0, false
	}
	return n, true
}

// changed is a copy of limits with one more, or with one less.
func changed(limits map[string]int64, name string, value *int64) map[string]int64 {
	limits = maps.Clone(limits)
	if limits == nil {
		limits = make(map[string]int64)
	}
	delete(limits, name)
	if value != nil {
		limits[name] = *value
	}
	return limits
}

func (s *Server) changeVHostLimit(w http.ResponseWriter, r *http.Request, p params, value *int64) {
	var limits map[string]int64
	s.cfg.Definitions.View(func(t *topology.Topology) { limits = t.Limits(p["vhost"]) })
	limits = changed(limits, p["name"], value)
	if _, ok := s.apply(w, r, topology.SetVHostLimits{VHost: p["vhost"], Limits: limits}); !ok {
		return
	}
	s.audit("vhost-limits", "vhost", p["vhost"], "limits", limits)
	done(w, false)
}

func (s *Server) putVHostLimit(w http.ResponseWriter, r *http.Request, p params) {
	if !s.hasVHost(p["vhost"]) {
		notFound(w, "vhost_not_found")
		return
	}
	if n, ok := limit(w, r, p["name"], "vhost-limits", limitsOfVHosts); ok {
		s.changeVHostLimit(w, r, p, &n)
	}
}

func (s *Server) deleteVHostLimit(w http.ResponseWriter, r *http.Request, p params) {
	if !s.hasVHost(p["vhost"]) {
		notFound(w, "vhost_not_found")
		return
	}
	s.changeVHostLimit(w, r, p, nil)
}

func (s *Server) changeUserLimit(w http.ResponseWriter, r *http.Request, p params, value *int64) {
	limits := changed(s.cfg.Access.UserLimits(p["user"]), p["name"], value)
	if err := s.cfg.Access.SetUserLimits(r.Context(), p["user"], limits); err != nil {
		failed(w, err)
		return
	}
	s.audit("user-limits", "user", p["user"], "limits", limits)
	done(w, false)
}

func (s *Server) putUserLimit(w http.ResponseWriter, r *http.Request, p params) {
	if !s.known(p) {
		notFound(w, "user_not_found")
		return
	}
	if n, ok := limit(w, r, p["name"], "user-limits", limitsOfUsers); ok {
		s.changeUserLimit(w, r, p, &n)
	}
}

func (s *Server) deleteUserLimit(w http.ResponseWriter, r *http.Request, p params) {
	if !s.known(p) {
		notFound(w, "user_not_found")
		return
	}
	s.changeUserLimit(w, r, p, nil)
}
