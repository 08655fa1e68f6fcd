package management

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/policy"
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
	Description      string   `json:"description"`
	Tags             []string `json:"tags"`
	DefaultQueueType string   `json:"default_queue_type"`
}

func (s *Server) showVHost(v *topology.VHost) vhostJSON {
	m := vhostMetadata{v.Description, append([]string{}, v.Tags...), v.DefaultQueueType}
	if m.DefaultQueueType == "" {
		m.DefaultQueueType = "classic"
	}
	j := vhostJSON{
		Name: v.Name, Description: m.Description, Tags: m.Tags, DefaultQueueType: m.DefaultQueueType,
		Metadata: m, Protected: v.Protected, ClusterState: make(map[string]string),
	}
	for _, name := range s.cfg.Nodes.Names() {
		j.ClusterState[name] = "running" // a vhost is no process that could be down
	}
	return j
}

func (s *Server) listVHosts(w http.ResponseWriter, r *http.Request, _ params) {
	list := []vhostJSON{}
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, name := range t.VHosts() {
			list = append(list, s.showVHost(t.VHost(name)))
		}
	})
	replyList(w, r, list)
}

// findVHost is a vhost as it is defined.
func (s *Server) findVHost(name string) (v topology.VHost, ok bool) {
	s.cfg.Definitions.View(func(t *topology.Topology) {
		if found := t.VHost(name); found != nil {
			v, ok = *found, true
		}
	})
	return v, ok
}

func (s *Server) getVHost(w http.ResponseWriter, _ *http.Request, p params) {
	v, ok := s.findVHost(p["vhost"])
	if !ok {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.showVHost(&v))
}

func (s *Server) putVHost(w http.ResponseWriter, r *http.Request, p params) {
	f, ok := body(w, r)
	if !ok {
		return
	}
	old, known := s.findVHost(p["vhost"])
	v, reason := readVHost(p["vhost"], f, old)
	if reason != "" {
		badRequest(w, reason)
		return
	}
	var command topology.Command = topology.DeclareVHost{VHost: v}
	if known {
		command = topology.UpdateVHost{VHost: v}
	}
	if _, ok := s.apply(w, r, command); !ok {
		return
	}
	s.audit("vhost.put", "vhost", v.Name, "created", !known)
	done(w, !known)
}

// readVHost reads what a vhost says of itself; what is not said stays as it was.
func readVHost(name string, f fields, old topology.VHost) (v topology.VHost, reason string) {
	v = old
	v.Name = name
	if _, given := f["description"]; given {
		text, ok := f.text("description")
		if !ok {
			return v, "description should be binary, actually was " + policy.Term(f["description"])
		}
		v.Description = text
	}
	switch tags := f["tags"].(type) {
	case nil:
	case string:
		v.Tags = nil
		for tag := range strings.SplitSeq(tags, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				v.Tags = append(v.Tags, tag)
			}
		}
	case []any:
		v.Tags = nil
		for _, tag := range tags {
			text, ok := tag.(string)
			if !ok {
				return v, "tags should be strings, one was " + policy.Term(tag)
			}
			v.Tags = append(v.Tags, text)
		}
	default:
		return v, "tags should be a list or a string, actually was " + policy.Term(tags)
	}
	for _, key := range []string{"defaultqueuetype", "default_queue_type"} { // the first is of RabbitMQ 3.11
		if kind := f[key]; kind != nil && kind != "undefined" {
			text, ok := kind.(string)
			switch {
			case !ok:
				return v, policy.Term(kind) + " is not a valid default_queue_type value"
			case text == "":
				return v, "default_queue_type must not be an empty string"
			case !slices.Contains([]string{"classic", "quorum", "stream"}, text):
				return v, text + " is not a valid queue type"
			}
			v.DefaultQueueType = text
		}
	}
	switch f["protected_from_deletion"] {
	case true, "true":
		v.Protected = true
	case false, "false":
		v.Protected = false
	}
	return v, ""
}

func (s *Server) deleteVHost(w http.ResponseWriter, r *http.Request, p params) {
	v, ok := s.findVHost(p["vhost"])
	switch {
	case !ok:
		missing(w)
		return
	case v.Protected:
		reply(w, http.StatusPreconditionFailed, problem{"precondition_failed",
			fmt.Sprintf("Refusing to delete virtual host '%s' because it is protected from deletion", v.Name)})
		return
	}
	if _, ok := s.apply(w, r, topology.DeleteVHost{Name: v.Name}); !ok {
		return
	}
	s.audit("vhost.delete", "vhost", v.Name)
	s.closeWhere(r.Context(), func(c *Connection) bool { return c.VHost == v.Name }, fmt.Sprintf("vhost '%s' is deleted", v.Name))
	done(w, false)
}
