package management

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/policy"
)

// maxUserTags is RabbitMQ's bound.
const maxUserTags = 32

type userJSON struct {
	Name             string           `json:"name"`
	PasswordHash     string           `json:"password_hash"`
	HashingAlgorithm string           `json:"hashing_algorithm"`
	Tags             []string         `json:"tags"`
	Limits           map[string]int64 `json:"limits"`
}

func (s *Server) user(u auth.User) userJSON {
	j := userJSON{
		Name: u.Name, PasswordHash: base64.StdEncoding.EncodeToString(u.PasswordHash),
		HashingAlgorithm: u.HashingAlgorithm, Tags: append([]string{}, u.Tags...),
		Limits: s.cfg.Access.UserLimits(u.Name),
	}
	if j.HashingAlgorithm == "" {
		j.HashingAlgorithm = auth.SHA256
	}
	if j.Limits == nil {
		j.Limits = map[string]int64{}
	}
	return j
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request, _ params) {
	list := []userJSON{}
	for _, u := range s.cfg.Access.Users() {
		list = append(list, s.user(u))
	}
	replyList(w, r, list)
}

func (s *Server) getUser(w http.ResponseWriter, _ *http.Request, p params) {
	u, ok := s.cfg.Access.User(p["user"])
	if !ok {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.user(u))
}

func (s *Server) putUser(w http.ResponseWriter, r *http.Request, p params) {
	f, ok := body(w, r)
	if !ok {
		return
	}
	u := auth.User{Name: p["user"]}
	var reason string
	if u.Tags, reason = tags(f); reason == "" {
		reason = secret(f, &u)
	}
	if reason != "" {
		badRequest(w, reason)
		return
	}
	_, known := s.cfg.Access.User(u.Name)
	if err := s.cfg.Access.PutUser(r.Context(), u); err != nil {
		failed(w, err)
		return
	}
	s.audit("user.put", "user", u.Name, "tags", strings.Join(u.Tags, ","), "created", !known)
	done(w, !known)
}

// tags reads a user's tags: a list, or a string with commas.
func tags(f fields) (list []string, reason string) {
	switch v := f["tags"].(type) {
	case nil:
		switch f["administrator"] { // of very old clients
		case nil:
			return nil, "tags_not_present"
		case true, "true":
			return []string{"administrator"}, ""
		}
		return nil, ""
	case string:
		for tag := range strings.SplitSeq(v, ",") {
			if tag != "" {
				list = append(list, strings.TrimSpace(tag))
			}
		}
	case []any:
		for _, tag := range v {
			text, ok := tag.(string)
			if !ok {
				return nil, "tags should be strings, one was " + policy.Term(tag)
			}
			list = append(list, strings.TrimSpace(text))
		}
	default:
		return nil, "tags should be a list or a string, actually was " + policy.Term(v)
	}
	if len(list) > maxUserTags {
		return nil, fmt.Sprintf("A user can have at most %d tags (received %d)", maxUserTags, len(list))
	}
	return list, ""
}

// secret reads a password or a hash of one. Without either the user has none
// that fits: it cannot log in with a password.
func secret(f fields, u *auth.User) (reason string) {
	_, hasPassword := f["password"]
	_, hasHash := f["password_hash"]
	switch {
	case hasPassword && hasHash:
		return "both_password_and_password_hash_are_provided"
	case hasPassword:
		password, ok := f["password"].(string)
		if !ok {
			return "password should be binary, actually was " + policy.Term(f["password"])
		}
		var salt [4]byte
		if _, err := rand.Read(salt[:]); err != nil {
			return err.Error()
		}
		u.PasswordHash = auth.HashPassword(password, salt)
	case hasHash:
		text, _ := f["password_hash"].(string)
		hash, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "{not_base64," + policy.Term(f["password_hash"]) + "}"
		}
		u.PasswordHash = hash
		algorithm, _ := f.text("hashing_algorithm")
		if !slices.Contains([]string{"", auth.SHA256, auth.SHA512, auth.MD5}, algorithm) {
			return "unknown hashing algorithm " + policy.Term(f["hashing_algorithm"])
		}
		u.HashingAlgorithm = algorithm
	}
	return ""
}

func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request, p params) {
	if _, ok := s.cfg.Access.User(p["user"]); !ok {
		missing(w)
		return
	}
	if err := s.cfg.Access.DeleteUser(r.Context(), p["user"]); err != nil {
		failed(w, err)
		return
	}
	s.audit("user.delete", "user", p["user"])
	s.closeWhere(r.Context(), func(c *Connection) bool { return c.User == p["user"] }, fmt.Sprintf("user '%s' is deleted", p["user"]))
	done(w, false)
}
