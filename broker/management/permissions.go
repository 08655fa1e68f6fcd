package management

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/policy"
)

type permissionJSON struct {
	User      string `json:"user"`
	VHost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

type topicPermissionJSON struct {
	User     string `json:"user"`
	VHost    string `json:"vhost"`
	Exchange string `json:"exchange"`
	Write    string `json:"write"`
	Read     string `json:"read"`
}

func inScope(p params, vhost, user string) bool {
	v, oneVHost := p["vhost"]
	u, oneUser := p["user"]
	return (!oneVHost || v == vhost) && (!oneUser || u == user)
}

// permissions are those of the vhost and the user that the path names.
func (s *Server) permissions(p params) []permissionJSON {
	list := []permissionJSON{}
	for _, x := range s.cfg.Access.Permissions() {
		if inScope(p, x.VHost, x.User) {
			list = append(list, permissionJSON(x))
		}
	}
	slices.SortStableFunc(list, func(a, b permissionJSON) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.User, b.User))
	})
	return list
}

func (s *Server) topicPermissions(p params) []topicPermissionJSON {
	list := []topicPermissionJSON{}
	for _, x := range s.cfg.Access.TopicPermissions() {
		if e, one := p["exchange"]; inScope(p, x.VHost, x.User) && (!one || e == x.Exchange) {
			list = append(list, topicPermissionJSON{x.User, x.VHost, x.Exchange, x.Write, x.Read})
		}
	}
	slices.SortStableFunc(list, func(a, b topicPermissionJSON) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.User, b.User), cmp.Compare(a.Exchange, b.Exchange))
	})
	return list
}

// scoped answers a list under a vhost or a user, which must exist.
func scoped[T any](s *Server, list func(params) []T) handler {
	return func(w http.ResponseWriter, r *http.Request, p params) {
		if !s.known(p) {
			missing(w)
			return
		}
		replyList(w, r, list(p))
	}
}

// known says whether the vhost and the user that a path names exist.
func (s *Server) known(p params) bool {
	if v, named := p["vhost"]; named && !s.hasVHost(v) {
		return false
	}
	if u, named := p["user"]; named {
		if _, ok := s.cfg.Access.User(u); !ok {
			return false
		}
	}
	return true
}

func (s *Server) getPermission(w http.ResponseWriter, _ *http.Request, p params) {
	if list := s.permissions(p); len(list) == 1 {
		reply(w, http.StatusOK, list[0])
		return
	}
	missing(w)
}

func (s *Server) getTopicPermissions(w http.ResponseWriter, r *http.Request, p params) {
	if list := s.topicPermissions(p); len(list) > 0 {
		replyList(w, r, list)
		return
	}
	missing(w)
}

func (s *Server) putPermission(w http.ResponseWriter, r *http.Request, p params) {
	if !s.known(p) {
		badRequest(w, "vhost_or_user_not_found")
		return
	}
	f, ok := body(w, r, "configure", "write", "read")
	if !ok {
		return
	}
	rules, ok := expressions(w, f, "configure", "write", "read")
	if !ok {
		return
	}
	created := len(s.permissions(p)) == 0
	x := auth.Permission{User: p["user"], VHost: p["vhost"], Configure: rules[0], Write: rules[1], Read: rules[2]}
	if err := s.cfg.Access.SetPermission(r.Context(), x); err != nil {
		failed(w, err)
		return
	}
	s.audit("permission.put", "user", x.User, "vhost", x.VHost, "configure", x.Configure, "write", x.Write, "read", x.Read)
	done(w, created)
}

// expressions reads regular expressions; where one is none it answers the request.
func expressions(w http.ResponseWriter, f fields, keys ...string) (list []string, ok bool) {
	for _, key := range keys {
		text, isText := f[key].(string)
		if !isText {
			badRequest(w, key+" should be binary, actually was "+policy.Term(f[key]))
			return nil, false
		}
		if _, err := regexp.Compile(text); err != nil {
			badRequest(w, "{invalid_regexp,"+policy.Term(text)+`,"`+err.Error()+`"}`)
			return nil, false
		}
		list = append(list, text)
	}
	return list, true
}

func (s *Server) deletePermission(w http.ResponseWriter, r *http.Request, p params) {
	if len(s.permissions(p)) == 0 {
		missing(w)
		return
	}
	if err := s.cfg.Access.ClearPermission(r.Context(), p["user"], p["vhost"]); err != nil {
		failed(w, err)
		return
	}
	s.audit("permission.delete", "user", p["user"], "vhost", p["vhost"])
	done(w, false)
}

func (s *Server) putTopicPermission(w http.ResponseWriter, r *http.Request, p params) {
	if !s.known(p) {
		badRequest(w, "vhost_or_user_not_found")
		return
	}
	f, ok := body(w, r, "exchange", "write", "read")
	if !ok {
		return
	}
	exchange, isText := f["exchange"].(string)
	if !isText {
		badRequest(w, "exchange should be binary, actually was "+policy.Term(f["exchange"]))
		return
	}
	rules, ok := expressions(w, f, "write", "read")
	if !ok {
		return
	}
	created := len(s.topicPermissions(p)) == 0
	x := auth.TopicPermission{User: p["user"], VHost: p["vhost"], Exchange: exchange, Write: rules[0], Read: rules[1]}
	if err := s.cfg.Access.SetTopicPermission(r.Context(), x); err != nil {
		failed(w, err)
		return
	}
	s.audit("topic-permission.put", "user", x.User, "vhost", x.VHost, "exchange", x.Exchange, "write", x.Write, "read", x.Read)
	done(w, created)
}

func (s *Server) deleteTopicPermission(w http.ResponseWriter, r *http.Request, p params) {
	if len(s.topicPermissions(p)) == 0 {
		missing(w)
		return
	}
	if err := s.cfg.Access.ClearTopicPermission(r.Context(), p["user"], p["vhost"], p["exchange"]); err != nil {
		failed(w, err)
		return
	}
	s.audit("topic-permission.delete", "user", p["user"], "vhost", p["vhost"], "exchange", p["exchange"])
	done(w, false)
}
