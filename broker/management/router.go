package management

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// params are the parts of a path that its route names.
type params map[string]string

type handler func(w http.ResponseWriter, r *http.Request, p params)

// router finds handlers by the segments of a path as it was sent, still escaped:
// the vhost "/" is the segment %2F, which net/http's own mux cannot tell from a slash.
type router struct{ resources []*resource }

// resource is what answers on one pattern.
type resource struct {
	pattern []string // segments; {name} stands for any but the empty one
	methods map[string]handler
}

// handle adds a method of a pattern such as /api/vhosts/{vhost}. A GET answers HEAD, too.
func (rt *router) handle(method, pattern string, h handler) {
	segments := strings.Split(strings.TrimPrefix(pattern, "/"), "/")
	i := slices.IndexFunc(rt.resources, func(r *resource) bool { return slices.Equal(r.pattern, segments) })
	if i < 0 {
		i = len(rt.resources)
		rt.resources = append(rt.resources, &resource{pattern: segments, methods: make(map[string]handler)})
	}
	rt.resources[i].methods[method] = h
	if method == http.MethodGet {
		rt.resources[i].methods[http.MethodHead] = h
	}
}

// find is the resource of a path, nil when there is none. Of several that match,
// the one with the most fixed segments wins.
func (rt *router) find(escapedPath string) (*resource, params) {
	path, ok := strings.CutPrefix(escapedPath, "/")
	if !ok {
		return nil, nil
	}
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, s := range segments {
		if segments[i], ok = unescape(s); !ok {
			return nil, nil
		}
	}
	var best *resource
	var found params
	for _, r := range rt.resources {
		if p, ok := r.match(segments); ok && (best == nil || len(p) < len(found)) {
			best, found = r, p
		}
	}
	return best, found
}

func unescape(segment string) (string, bool) {
	s, err := url.PathUnescape(segment)
	return s, err == nil
}

func (r *resource) match(segments []string) (params, bool) {
	if len(segments) != len(r.pattern) {
		return nil, false
	}
	p := params{}
	for i, want := range r.pattern {
		name, variable := strings.CutPrefix(want, "{")
		switch {
		case !variable && segments[i] != want, variable && segments[i] == "":
			return nil, false
		case variable:
			p[strings.TrimSuffix(name, "}")] = segments[i]
		}
	}
	return p, true
}

// allow lists the methods of a resource in RabbitMQ's order.
func (r *resource) allow() string {
	var list []string
	for _, m := range []string{http.MethodHead, http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		if r.methods[m] != nil {
			list = append(list, m)
		}
	}
	return strings.Join(append(list, http.MethodOptions), ", ")
}

// ServeHTTP answers 404 and 405 as RabbitMQ does.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res, p := rt.find(r.URL.EscapedPath())
	if res == nil {
		missing(w)
		return
	}
	h := res.methods[r.Method]
	switch {
	case h != nil:
		h(w, r, p)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", res.allow())
	default:
		w.Header().Set("Allow", res.allow())
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}
