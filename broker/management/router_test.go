package management

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPathsAreRoutedAsTheyWereSent(t *testing.T) {
	var rt router
	say := func(name string) handler {
		return func(w http.ResponseWriter, _ *http.Request, p params) {
			fmt.Fprintf(w, "%s %q", name, map[string]string(p))
		}
	}
	rt.handle(http.MethodGet, "/api/queues", say("all"))
	rt.handle(http.MethodGet, "/api/queues/{vhost}", say("vhost"))
	rt.handle(http.MethodGet, "/api/queues/detailed", say("detailed"))
	rt.handle(http.MethodGet, "/api/queues/{vhost}/{queue}", say("queue"))
	rt.handle(http.MethodDelete, "/api/queues/{vhost}/{queue}", say("delete"))
	for _, c := range []struct {
		name, method, path string
		code               int
		want               string
	}{
		{"no variable", "GET", "/api/queues", 200, `all map[]`},
		{"a slash at the end", "GET", "/api/queues/", 200, `all map[]`},
		{"the default vhost", "GET", "/api/queues/%2F", 200, `vhost map["vhost":"/"]`},
		{"in lower case", "GET", "/api/queues/%2f/", 200, `vhost map["vhost":"/"]`},
		{"a queue in it", "GET", "/api/queues/%2F/a%2Fb%20c", 200, `queue map["queue":"a/b c" "vhost":"/"]`},
		{"a fixed segment wins", "GET", "/api/queues/detailed", 200, `detailed map[]`},
		{"a plus is a plus", "GET", "/api/queues/a+b", 200, `vhost map["vhost":"a+b"]`},
		{"an empty segment is nothing", "GET", "/api/queues//", 404, ""},
		{"an empty segment within", "GET", "/api//queues", 404, ""},
		{"too many segments", "GET", "/api/queues/a/b/c", 404, ""},
		{"HEAD wherever GET", "HEAD", "/api/queues", 200, ""},
		{"another method", "POST", "/api/queues/a/b", 405, "HEAD, GET, DELETE, OPTIONS"},
		{"what methods there are", "OPTIONS", "/api/queues/a/b", 200, "HEAD, GET, DELETE, OPTIONS"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, c.path, nil)
		rt.ServeHTTP(w, r)
		got := w.Body.String()
		if allow := w.Header().Get("Allow"); allow != "" {
			got = allow
		}
		if w.Code != c.code || c.want != "" && got != c.want {
			t.Errorf("%s: %s %s is %d %s, want %d %s", c.name, c.method, c.path, w.Code, got, c.code, c.want)
		}
	}
}

func TestABadEscapeIsNothing(t *testing.T) {
	var rt router
	rt.handle(http.MethodGet, "/api/queues/{vhost}", nil)
	if r, _ := rt.find("/api/queues/%zz"); r != nil { // net/http refuses it before
		t.Error("%zz was taken for a vhost")
	}
}

func FuzzPathsNeverPanic(f *testing.F) {
	for _, path := range []string{"/api/queues/%2F", "//", "/%", "", "/api/queues/%2F/%00"} {
		f.Add(path)
	}
	s := &Server{}
	s.routes()
	f.Fuzz(func(t *testing.T, path string) {
		if r, p := s.router.find(path); r == nil && p != nil {
			t.Fatalf("%q has parameters %v of nothing", path, p)
		}
	})
}
