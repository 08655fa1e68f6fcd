package management

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/topology"
)

type policyJSON struct {
	VHost      string         `json:"vhost"`
	Name       string         `json:"name"`
	Pattern    string         `json:"pattern"`
	ApplyTo    policy.ApplyTo `json:"apply-to"`
	Definition map[string]any `json:"definition"`
	Priority   int64          `json:"priority"`
}

func showPolicy(vhost string, p *policy.Policy) policyJSON {
	j := policyJSON{vhost, p.Name, p.Pattern, p.ApplyTo, p.Definition, p.Priority}
	if j.ApplyTo == "" {
		j.ApplyTo = policy.All
	}
	if j.Definition == nil {
		j.Definition = map[string]any{}
	}
	return j
}

// policies answers for the policies, or for the operator policies.
type policies struct {
	*Server
	operator bool
}

func (s policies) kind() string {
	if s.operator {
		return "operator-policy"
	}
	return "policy"
}

func (s policies) all(p params) []policyJSON {
	list := []policyJSON{}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			if v, one := p["vhost"]; one && v != vhost {
				continue
			}
			for _, x := range t.Policies(vhost, s.operator) {
				list = append(list, showPolicy(vhost, x))
			}
		}
	})
	slices.SortStableFunc(list, func(a, b policyJSON) int { return cmp.Compare(a.Priority, b.Priority) })
	return list
}

func (s policies) one(p params) (j policyJSON, ok bool) {
	s.cfg.Definitions.View(func(t *topology.Topology) {
		if x := t.Policy(p["vhost"], s.operator, p["name"]); x != nil {
			j, ok = showPolicy(p["vhost"], x), true
		}
	})
	return j, ok
}

func (s policies) get(w http.ResponseWriter, _ *http.Request, p params) {
	j, ok := s.one(p)
	if !ok {
		missing(w)
		return
	}
	reply(w, http.StatusOK, j)
}

func (s policies) put(w http.ResponseWriter, r *http.Request, p params) {
	if !s.hasVHost(p["vhost"]) {
		notFound(w, "vhost_not_found")
		return
	}
	f, ok := body(w, r, "pattern", "definition")
	if !ok {
		return
	}
	x, reason := readPolicy(p["name"], f)
	if reason == "" {
		if err := policy.Check(&x, s.operator); err != nil {
			reason = err.Error()
		}
	}
	if reason != "" {
		badRequest(w, reason)
		return
	}
	_, known := s.one(p)
	if _, ok := s.apply(w, r, topology.SetPolicy{VHost: p["vhost"], Operator: s.operator, Policy: x}); !ok {
		return
	}
	s.audit(s.kind()+".put", "vhost", p["vhost"], "name", x.Name, "pattern", x.Pattern, "apply_to", string(x.ApplyTo),
		"priority", x.Priority, "definition", x.Definition)
	done(w, !known)
}

// readPolicy reads what has to be of the right type before it can be checked.
func readPolicy(name string, f fields) (x policy.Policy, reason string) {
	x.Name = name
	var ok bool
	if x.Pattern, ok = f["pattern"].(string); !ok {
		return x, "Validation failed\n\npattern should be a binary but was " + policy.Term(f["pattern"]) + "\n"
	}
	if x.Definition, ok = f["definition"].(map[string]any); !ok {
		return x, "Validation failed\n\ndefinition not a list " + policy.Term(f["definition"]) + "\n"
	}
	if _, given := f["priority"]; given && f["priority"] != nil {
		if x.Priority, ok = f.integer("priority"); !ok {
			return x, "Validation failed\n\npriority should be a number, actually was " + policy.Term(f["priority"]) + "\n"
		}
	}
	x.ApplyTo = policy.All
	if to, given := f["apply-to"]; given && to != nil {
		text, ok := to.(string)
		if !ok {
			return x, "Validation failed\n\napply-to should be binary, actually was " + policy.Term(to) + "\n"
		}
		x.ApplyTo = policy.ApplyTo(text)
	}
	return x, ""
}

func (s policies) del(w http.ResponseWriter, r *http.Request, p params) {
	if _, ok := s.one(p); !ok {
		missing(w)
		return
	}
	if _, ok := s.apply(w, r, topology.ClearPolicy{VHost: p["vhost"], Operator: s.operator, Name: p["name"]}); !ok {
		return
	}
	s.audit(s.kind()+".delete", "vhost", p["vhost"], "name", p["name"])
	done(w, false)
}
