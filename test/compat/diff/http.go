package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Reply is the answer to a request of the management API.
type Reply struct {
	Status int
	JSON   any // objects as map[string]any, numbers as float64
}

// Field is a field of the answer, nil where there is none.
func (r Reply) Field(name string) any {
	m, _ := r.JSON.(map[string]any)
	return m[name]
}

// HTTP makes a request of the management API, with a body that is marshalled
// unless nil, and records its status and, of an error, what is told. The path
// is RabbitMQ's: "/api/policies/%2F/p". What else matters of the answer is the
// scenario's to record.
func (s *S) HTTP(method, path string, body any) Reply {
	status, answer := s.request(method, path, body)
	r := Reply{Status: status}
	json.Unmarshal(answer, &r.JSON) // there may be none
	line := fmt.Sprintf("%s %s -> %d", method, path, status)
	if status >= 400 {
		line += fmt.Sprintf(" %v: %v", r.Field("error"), r.Field("reason"))
	}
	s.Record("%s", line)
	return r
}

// Agreed waits until every node answers a GET so.
func (s *S) Agreed(path, what string, so func(Reply) bool) {
	s.Eventually(what, func() bool {
		for node := range s.broker.clients {
			var r Reply
			status, answer := s.requestOf(node, http.MethodGet, path, nil)
			r.Status = status
			json.Unmarshal(answer, &r.JSON) // there may be none
			if !so(r) {
				return false
			}
		}
		return true
	})
}

// request is one to the first node, whose answer is any node's.
func (s *S) request(method, path string, body any) (int, []byte) {
	return s.requestOf(0, method, path, body)
}

// requestOf is one to a node.
func (s *S) requestOf(node int, method, path string, body any) (int, []byte) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			panic(fmt.Sprintf("%s %s: %v", method, path, err))
		}
		in = bytes.NewReader(b)
	}
	host := s.broker.HTTP
	if host == "" {
		host = "warren"
	}
	req, err := http.NewRequestWithContext(s.ctx, method, "http://"+host+path, in)
	if err != nil {
		panic(fmt.Sprintf("%s %s: %v", method, path, err))
	}
	req.SetBasicAuth("guest", "guest")
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.broker.clients[node].Do(req)
	if err != nil {
		s.stop("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.stop("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer
}

// prepare makes a request that has to succeed, and undoes it after the run.
func (s *S) prepare(path string, body any) {
	status, answer := s.request(http.MethodPut, path, body)
	if status >= 300 {
		s.stop("PUT %s: %d %s", path, status, answer)
	}
	s.Cleanup(func() { s.request(http.MethodDelete, path, nil) })
}

// User makes a user with password "secret", tags and, in "/", permissions;
// it goes with the run.
func (s *S) User(what, tags, configure, write, read string) string {
	name := what + s.suffix
	s.prepare("/api/users/"+name, T{"password": "secret", "tags": tags})
	s.Permit(name, "/", configure, write, read)
	s.Record("user %s with %s %s %s", name, text(configure), text(write), text(read))
	return name
}

// Permit sets a user's permissions in a virtual host.
func (s *S) Permit(user, vhost, configure, write, read string) {
	path := "/api/permissions/" + url.PathEscape(vhost) + "/" + user
	if status, answer := s.request(http.MethodPut, path, T{"configure": configure, "write": write, "read": read}); status >= 300 {
		s.stop("PUT %s: %d %s", path, status, answer)
	}
}

// VHost makes a virtual host that goes with the run, with all permissions for guest.
func (s *S) VHost(what string) string {
	name := what + s.suffix
	s.prepare("/api/vhosts/"+name, nil)
	s.Permit("guest", name, ".*", ".*", ".*")
	s.Record("virtual host %s", name)
	return name
}

// Policy sets a policy for the queues or exchanges ("queues", "exchanges",
// "all") whose name is exactly this, and takes it away after the run.
func (s *S) Policy(name, applyTo string, priority int, definition T) {
	s.policy("policies", name, applyTo, priority, definition)
}

// OperatorPolicy does the same with an operator policy.
func (s *S) OperatorPolicy(name, applyTo string, priority int, definition T) {
	s.policy("operator-policies", name, applyTo, priority, definition)
}

func (s *S) policy(kind, name, applyTo string, priority int, definition T) {
	path := fmt.Sprintf("/api/%s/%%2F/%s-%d", kind, name, priority)
	s.prepare(path, T{"pattern": "^" + name + "$", "apply-to": applyTo, "priority": priority, "definition": definition})
	b, err := json.Marshal(definition)
	if err != nil {
		panic(err)
	}
	s.Record("%s for %s %s: %s", kind, applyTo, name, b)
}
