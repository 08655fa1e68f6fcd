package management

import (
	"net/http"

	"github.com/warrenmq/warren/broker/topology"
)

// vhostJSON is a vhost in listings.
type vhostJSON struct {
	Name             string            `json:"name"`
	Description      string            `json:"description"`
	Tags             []string          `json:"tags"`
	DefaultQueueType string            `json:"default_queue_type"`
	Metadata         vhostMetadata     `json:"metadata"`
	Protected        bool              `json:"protected_from_deletion"`
	Tracing          bool              `json:"tracing"`
	ClusterState     map[string]string `json:"cluster_state"`
}

type vhostMetadata struct {
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
}

func (s *Server) vhost(v *topology.VHost) vhostJSON {
	tags := []string{}
	return vhostJSON{
		Name: v.Name, Tags: tags, DefaultQueueType: "classic",
		Metadata: vhostMetadata{Tags: tags}, ClusterState: map[string]string{},
	}
}

func (s *Server) listVHosts(w http.ResponseWriter, _ *http.Request, _ params) {
	list := []vhostJSON{}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, name := range t.VHosts() {
			list = append(list, s.vhost(t.VHost(name)))
		}
	})
	reply(w, http.StatusOK, list)
}

func (s *Server) getVHost(w http.ResponseWriter, _ *http.Request, p params) {
	var found *vhostJSON
	s.cfg.Definitions.View(func(t *topology.Topology) {
		if v := t.VHost(p["vhost"]); v != nil {
			j := s.vhost(v)
			found = &j
		}
	})
	if found == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, found)
}

func (s *Server) putVHost(w http.ResponseWriter, r *http.Request, p params) {
	if _, ok := body(w, r); !ok {
		return
	}
	created := !s.hasVHost(p["vhost"])
	if _, ok := s.apply(w, r, topology.DeclareVHost{VHost: topology.VHost{Name: p["vhost"]}}); !ok {
		return
	}
	s.audit("vhost.put", "vhost", p["vhost"], "created", created)
	done(w, created)
}

func (s *Server) deleteVHost(w http.ResponseWriter, r *http.Request, p params) {
	if !s.hasVHost(p["vhost"]) {
		missing(w)
		return
	}
	if _, ok := s.apply(w, r, topology.DeleteVHost{Name: p["vhost"]}); !ok {
		return
	}
	s.audit("vhost.delete", "vhost", p["vhost"])
	done(w, false)
}
