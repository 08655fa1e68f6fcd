package management

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/connection"
	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/topology"
)

// world is a cluster of one node that is nothing but its definitions.
type world struct {
	t      *testing.T
	server *Server
	log    bytes.Buffer

	top         *topology.Topology
	users       map[string]auth.User
	limits      map[string]map[string]int64
	permissions []auth.Permission
	topics      []auth.TopicPermission
	clients     []Connection
	consumers   []Consumer
	closed      []string // name, reason
	node        Node
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, top: topology.New(), users: map[string]auth.User{}, limits: map[string]map[string]int64{},
		node: Node{Name: "n1", Running: true, Listeners: []Listener{}},
	}
	var err error
	w.server, err = New(Config{
		Definitions: w, Access: w, Queues: w, Clients: w, Nodes: w, Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) View(look func(*topology.Topology)) { look(w.top) }
func (w *world) Apply(_ context.Context, c topology.Command) (topology.Result, error) {
	return w.top.Apply(c)
}

func (w *world) Users() (list []auth.User) {
	for _, u := range w.users {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b auth.User) int { return strings.Compare(a.Name, b.Name) })
	return list
}
func (w *world) User(name string) (auth.User, bool)              { u, ok := w.users[name]; return u, ok }
func (w *world) PutUser(_ context.Context, u auth.User) error    { w.users[u.Name] = u; return nil }
func (w *world) DeleteUser(_ context.Context, name string) error { delete(w.users, name); return nil }
func (w *world) Permissions() []auth.Permission                  { return w.permissions }
func (w *world) SetPermission(ctx context.Context, p auth.Permission) error {
	_ = w.ClearPermission(ctx, p.User, p.VHost)
	w.permissions = append(w.permissions, p)
	return nil
}
func (w *world) ClearPermission(_ context.Context, user, vhost string) error {
	w.permissions = slices.DeleteFunc(w.permissions, func(p auth.Permission) bool { return p.User == user && p.VHost == vhost })
	return nil
}
func (w *world) TopicPermissions() []auth.TopicPermission { return w.topics }
func (w *world) SetTopicPermission(ctx context.Context, p auth.TopicPermission) error {
	_ = w.ClearTopicPermission(ctx, p.User, p.VHost, p.Exchange)
	w.topics = append(w.topics, p)
	return nil
}
func (w *world) ClearTopicPermission(_ context.Context, user, vhost, exchange string) error {
	w.topics = slices.DeleteFunc(w.topics, func(p auth.TopicPermission) bool {
		return p.User == user && p.VHost == vhost && (exchange == "" || p.Exchange == exchange)
	})
	return nil
}
func (w *world) UserLimits(user string) map[string]int64 { return w.limits[user] }
func (w *world) SetUserLimits(_ context.Context, user string, limits map[string]int64) error {
	w.limits[user] = limits
	return nil
}

func (w *world) Place(*topology.Queue) Place {
	return Place{Leader: "n1", Members: []string{"n1"}, Online: []string{"n1"}}
}
func (w *world) Counts(_ context.Context, id queue.ID) (leader.Counts, error) {
	if id%2 == 0 {
		return leader.Counts{}, leader.ErrUnavailable
	}
	return leader.Counts{Ready: 5, Unacked: 2, Consumers: 1}, nil
}
func (w *world) Purge(context.Context, queue.ID) (uint64, error) { return 5, nil }
func (w *world) Delete(_ context.Context, q topology.Queue, _, ifEmpty bool, _ string) (uint64, error) {
	if ifEmpty {
		return 0, topology.QueueNotEmpty(&q)
	}
	_, err := w.top.Apply(topology.DeleteQueue{VHost: q.VHost, Name: q.Name})
	return 5, err
}

func (w *world) Connections(context.Context) (list [][]byte) {
	for _, c := range w.clients {
		b, err := json.Marshal(c)
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, b)
	}
	return append(list, []byte("not JSON: of a node from the future"))
}
func (w *world) Consumers(_ context.Context, vhost string) (list [][]byte) {
	for _, c := range w.consumers {
		if vhost != "" && vhost != c.Queue.VHost {
			continue
		}
		b, err := json.Marshal(c)
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, b)
	}
	return append(list, []byte("not JSON: of a node from the future"))
}
func (w *world) CloseConnection(_ context.Context, name, reason string) bool {
	before := len(w.clients)
	w.clients = slices.DeleteFunc(w.clients, func(c Connection) bool { return c.Name == name })
	if len(w.clients) == before {
		return false
	}
	w.closed = append(w.closed, name+": "+reason)
	return true
}
func (w *world) Self() string    { return "n1" }
func (w *world) Names() []string { return []string{"n1", "n2"} }
func (w *world) Reports(context.Context) [][]byte {
	b, err := json.Marshal(w.node)
	if err != nil {
		w.t.Fatal(err)
	}
	return [][]byte{b}
}

// do sends a request; "METHOD path body".
func (w *world) do(request string) (int, string) {
	w.t.Helper()
	method, rest, _ := strings.Cut(request, " ")
	path, body, _ := strings.Cut(rest, " ")
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

// step is a request and its answer; want is the body, or a part of it.
type step struct {
	request string
	code    int
	want    string
}

func (w *world) steps(list []step) {
	w.t.Helper()
	for _, s := range list {
		if code, body := w.do(s.request); code != s.code || !strings.Contains(body, s.want) || s.want == "" && body != "" {
			w.t.Errorf("%s\nis   %d %s\nwant %d %s", s.request, code, body, s.code, s.want)
		}
	}
}

const objectNotFound = `{"error":"Object Not Found","reason":"Not Found"}`

func TestVHosts(t *testing.T) {
	w := newWorld(t)
	w.clients = []Connection{{Name: "c1", VHost: "a/b"}, {Name: "c2", VHost: "/"}}
	w.steps([]step{
		{"GET /api/vhosts?columns=name", 200, `[{"name":"/"}]`},
		{"PUT /api/vhosts/a%2Fb", 201, ""},
		{`PUT /api/vhosts/a%2Fb {"description":"d","tags":"x, y","default_queue_type":"quorum"}`, 204, ""},
		{"GET /api/vhosts/a%2Fb", 200, `{"name":"a/b","description":"d","tags":["x","y"],"default_queue_type":"quorum",` +
			`"metadata":{"description":"d","tags":["x","y"],"default_queue_type":"quorum"},"protected_from_deletion":false,"tracing":false,` +
			`"cluster_state":{"n1":"running","n2":"running"}}`},
		{`PUT /api/vhosts/v {"default_queue_type":"none"}`, 400, `{"error":"bad_request","reason":"none is not a valid queue type"}`},
		{`PUT /api/vhosts/v {`, 400, `{"error":"bad_request","reason":"not_json"}`},
		{`PUT /api/vhosts/v [1]`, 400, `not_json`},
		{`PUT /api/vhosts/v "{}"`, 400, `doubly-JSON-encoded`},
		{"GET /api/vhosts/v", 404, objectNotFound},
		{"DELETE /api/vhosts/v", 404, objectNotFound},
		{"DELETE /api/vhosts/a%2Fb", 204, ""},
		{"GET /api/vhosts/a%2Fb", 404, objectNotFound},
		{"GET /api/nothing", 404, objectNotFound},
	})
	if want := []string{"c1: vhost 'a/b' is deleted"}; !slices.Equal(w.closed, want) {
		t.Errorf("closed %q, want %q", w.closed, want)
	}
}

func TestUsers(t *testing.T) {
	w := newWorld(t)
	w.clients = []Connection{{Name: "c1", User: "u"}, {Name: "c2", User: "v"}}
	w.steps([]step{
		{`PUT /api/users/u {"password":"secret","tags":"administrator, x"}`, 201, ""},
		{`PUT /api/users/v {"password_hash":"","tags":["monitoring"]}`, 201, ""},
		{`PUT /api/users/v {"password_hash":"AQIDBAUG","hashing_algorithm":"rabbit_password_hashing_md5","tags":[]}`, 204, ""},
		{"GET /api/users/v", 200, `{"name":"v","password_hash":"AQIDBAUG","hashing_algorithm":"rabbit_password_hashing_md5","tags":[],"limits":{}}`},
		{"GET /api/users?columns=name,tags", 200, `[{"name":"u","tags":["administrator","x"]},{"name":"v","tags":[]}]`},
		{`PUT /api/users/x {"password":"p"}`, 400, `{"error":"bad_request","reason":"tags_not_present"}`},
		{`PUT /api/users/x {"password":"p","password_hash":"","tags":""}`, 400, "both_password_and_password_hash_are_provided"},
		{`PUT /api/users/x {"password_hash":"%","tags":""}`, 400, `{not_base64,<<\"%\">>}`},
		{`PUT /api/users/x {"password":"p","tags":[1]}`, 400, "tags should be strings"},
		{`PUT /api/users/x {"password":"p","tags":"` + strings.Repeat("t,", 33) + `"}`, 400, "A user can have at most 32 tags (received 33)"},
		{"GET /api/users/x", 404, objectNotFound},
		{"DELETE /api/users/x", 404, objectNotFound},
		{"DELETE /api/users/u", 204, ""},
	})
	if u := w.users["v"]; u.CheckPassword("") || u.CheckPassword("secret") {
		t.Error("a hash that nobody knows the password of was matched")
	}
	if want := []string{"c1: user 'u' is deleted"}; !slices.Equal(w.closed, want) {
		t.Errorf("closed %q, want %q", w.closed, want)
	}
	if log := w.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "AQIDBAUG") {
		t.Errorf("the audit tells secrets: %s", log)
	} else if n := strings.Count(log, "msg=audit who=local what=user."); n != 4 {
		t.Errorf("%d audit lines, want 4: %s", n, log)
	}
}

func TestAPasswordIsStoredAsAHash(t *testing.T) {
	w := newWorld(t)
	w.do(`PUT /api/users/u {"password":"secret","tags":""}`)
	if u := w.users["u"]; !u.CheckPassword("secret") || u.CheckPassword("other") {
		t.Errorf("%+v", u)
	}
}

func TestPermissions(t *testing.T) {
	w := newWorld(t)
	w.users["u"] = auth.User{Name: "u"}
	w.steps([]step{
		{`PUT /api/permissions/%2F/u {"configure":"","write":".*","read":"a|b"}`, 201, ""},
		{`PUT /api/permissions/%2F/u {"configure":"","write":".*","read":"c"}`, 204, ""},
		{"GET /api/permissions/%2F/u", 200, `{"user":"u","vhost":"/","configure":"","write":".*","read":"c"}`},
		{"GET /api/permissions", 200, `[{"user":"u","vhost":"/","configure":"","write":".*","read":"c"}]`},
		{"GET /api/vhosts/%2F/permissions", 200, `[{"user":"u"`},
		{"GET /api/users/u/permissions", 200, `[{"user":"u"`},
		{"GET /api/users/x/permissions", 404, objectNotFound},
		{`PUT /api/permissions/%2F/u {"configure":""}`, 400, `[{key_missing,write},{key_missing,read}]`},
		{`PUT /api/permissions/%2F/u {"configure":"(","write":"","read":""}`, 400, `{invalid_regexp,<<\"(\">>`},
		{`PUT /api/permissions/%2F/x {"configure":"","write":"","read":""}`, 400, `{"error":"bad_request","reason":"vhost_or_user_not_found"}`},
		{`PUT /api/permissions/v/u {"configure":"","write":"","read":""}`, 400, `vhost_or_user_not_found`},
		{"DELETE /api/permissions/%2F/u", 204, ""},
		{"DELETE /api/permissions/%2F/u", 404, objectNotFound},
		{"GET /api/permissions/%2F/u", 404, objectNotFound},

		{`PUT /api/topic-permissions/%2F/u {"exchange":"amq.topic","write":"^a","read":"^b"}`, 201, ""},
		{"GET /api/topic-permissions/%2F/u", 200, `[{"user":"u","vhost":"/","exchange":"amq.topic","write":"^a","read":"^b"}]`},
		{"GET /api/topic-permissions/%2F/u/other", 404, objectNotFound},
		{"DELETE /api/topic-permissions/%2F/u/amq.topic", 204, ""},
		{"GET /api/topic-permissions", 200, `[]`},
	})
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.users["u"] = auth.User{Name: "u"}
	w.steps([]step{
		{`PUT /api/vhost-limits/%2F/max-connections {"value":3}`, 204, ""},
		{`PUT /api/vhost-limits/%2F/max-queues {"value":"4"}`, 204, ""},
		{"GET /api/vhost-limits/%2F", 200, `[{"vhost":"/","value":{"max-connections":3,"max-queues":4}}]`},
		{`PUT /api/vhost-limits/%2F/max-queues {"value":true}`, 400, `max-queues should be a number, actually was true`},
		{`PUT /api/vhost-limits/%2F/max-x {"value":1}`, 400, `Unrecognised terms [{<<\"max-x\">>,1}] in vhost-limits`},
		{`PUT /api/vhost-limits/%2F/max-queues {}`, 400, `[{key_missing,value}]`},
		{`PUT /api/vhost-limits/v/max-queues {"value":1}`, 404, `{"error":"not_found","reason":"vhost_not_found"}`},
		{"DELETE /api/vhost-limits/%2F/max-connections", 204, ""},
		{"GET /api/vhost-limits", 200, `[{"vhost":"/","value":{"max-queues":4}}]`},

		{`PUT /api/user-limits/u/max-channels {"value":3}`, 204, ""},
		{"GET /api/user-limits/u", 200, `[{"user":"u","value":{"max-channels":3}}]`},
		{"DELETE /api/user-limits/u/max-channels", 204, ""},
		{"GET /api/user-limits", 200, `[]`},
		{`PUT /api/user-limits/x/max-channels {"value":1}`, 404, `user_not_found`},
	})
}

func TestPolicies(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api/policies", "/api/operator-policies"} {
		w.steps([]step{
			{"PUT " + path + `/%2F/p {"pattern":"^q","definition":{"max-length":5},"priority":2,"apply-to":"queues"}`, 201, ""},
			{"PUT " + path + `/%2F/p {"pattern":"^q","definition":{"max-length":6},"apply-to":"queues"}`, 204, ""},
			{"GET " + path + "/%2F/p", 200, `{"vhost":"/","name":"p","pattern":"^q","apply-to":"queues","definition":{"max-length":6},"priority":0}`},
			{"GET " + path + "/%2F", 200, `[{"vhost":"/","name":"p"`},
			{"GET " + path + "/v", 404, objectNotFound},
			{"PUT " + path + `/%2F/x {"pattern":"^q"}`, 400, `[{key_missing,definition}]`},
			{"PUT " + path + `/%2F/x {"pattern":1,"definition":{"max-length":5}}`, 400, `pattern should be a binary but was 1`},
			{"PUT " + path + `/%2F/x {"pattern":"a","definition":{"nonsense":5}}`, 400, `"reason":"Validation failed\n\n`},
			{"PUT " + path + `/%2F/x {"pattern":"a","definition":{"max-length":5},"priority":"a"}`, 400, `priority should be a number`},
			{"PUT " + path + `/v/x {"pattern":"a","definition":{"max-length":5}}`, 404, `vhost_not_found`},
			{"DELETE " + path + "/%2F/p", 204, ""},
			{"DELETE " + path + "/%2F/p", 404, objectNotFound},
		})
	}
}

func declare(t *testing.T, w *world, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := w.top.Apply(topology.DeclareQueue{Queue: topology.Queue{VHost: "/", Name: name, Durable: true, Group: 1,
			Arguments: topology.Arguments{"x-queue-type": "quorum", "x-max-length": int32(7)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueues(t *testing.T) {
	w := newWorld(t)
	declare(t, w, "q1", "q2", "q3")
	w.steps([]step{
		{"GET /api/queues/%2F/q1", 200, `{"name":"q1","vhost":"/","type":"quorum","durable":true,"auto_delete":false,"exclusive":false,` +
			`"arguments":{"x-max-length":7,"x-queue-type":"quorum"},"node":"n1","leader":"n1","members":["n1"],"online":["n1"],"state":"running",` +
			`"policy":null,"operator_policy":null,"effective_policy_definition":{},` +
			`"messages":7,"messages_ready":5,"messages_unacknowledged":2,"messages_dlx":0,"messages_persistent":7,"consumers":1}`},
		{"GET /api/queues/%2F/q2?", 200, `"state":"down"`}, // its leader does not answer
		{"GET /api/queues?columns=name,messages,state", 200, `[{"messages":7,"name":"q1","state":"running"},{"name":"q2","state":"down"},`},
		{"GET /api/queues/v", 404, objectNotFound},
		{"GET /api/queues/%2F?page=1&page_size=2&columns=name", 200,
			`{"filtered_count":3,"item_count":2,"items":[{"name":"q1"},{"name":"q2"}],"page":1,"page_count":2,"page_size":2,"total_count":3}`},
		{"GET /api/queues/%2F?page=1&name=3&pagination=false&columns=name", 200, `{"filtered_count":1,"item_count":1,"items":[{"name":"q3"}]`},
		{"GET /api/queues/%2F?page=1&name=^q[12]$&use_regex=true&columns=name", 200, `"filtered_count":2`},
		{"GET /api/queues/%2F?page=9&page_size=2", 400, `{"error":"page_out_of_range","reason":"Page out of range, page: 9 page size: 2, len: 3"}`},
		{"GET /api/queues/%2F?page=1&page_size=501", 400, `invalid_pagination_parameters`},
		{"GET /api/queues/%2F?sort=name&sort_reverse=true&columns=name", 200, `[{"name":"q3"},{"name":"q2"},{"name":"q1"}]`},
		{"GET /api/queues/%2F?sort=", 200, `[{"name":"q1"`},
		{"DELETE /api/queues/%2F/q1/contents", 204, ""},
		{"DELETE /api/queues/%2F/q1?if-empty=true", 400, `queue 'q1' in vhost '/' not empty`},
		{"DELETE /api/queues/%2F/q1", 204, ""},
		{"DELETE /api/queues/%2F/q1", 404, objectNotFound},
		{"GET /api/overview", 200, `"object_totals":{"channels":0,"connections":0,"consumers":1,"exchanges":7,"queues":2}`},
	})
}

func TestBindingsBeginWithTheImplicitOnes(t *testing.T) {
	w := newWorld(t)
	declare(t, w, "q1")
	for _, key := range []string{"", "a b"} {
		if _, err := w.top.Apply(topology.Bind{Binding: topology.Binding{VHost: "/", Source: "amq.topic", Destination: "q1", RoutingKey: key}}); err != nil {
			t.Fatal(err)
		}
	}
	w.steps([]step{
		{"GET /api/queues/%2F/q1/bindings?columns=source,routing_key,properties_key", 200,
			`[{"properties_key":"q1","routing_key":"q1","source":""},{"properties_key":"~","routing_key":"","source":"amq.topic"},` +
				`{"properties_key":"a+b","routing_key":"a b","source":"amq.topic"}]`},
		{"GET /api/exchanges/%2F/amq.default", 200, `{"name":"","vhost":"/","type":"direct","durable":true,`},
		{"GET /api/exchanges/%2F/nothing", 404, objectNotFound},
	})
}

func TestConnectionsAreDescribedListedAndClosed(t *testing.T) {
	w := newWorld(t)
	here, there := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5672}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 40000}
	at := time.UnixMilli(1_700_000_000_123)
	for _, user := range []string{"u", "v"} {
		w.clients = append(w.clients, DescribeConnection("n1", &connection.Info{
			Name: "10.0.0.2:40000 -> 10.0.0.1:5672" + user, User: user, VHost: "/", Peer: there, Local: here, Mechanism: "PLAIN",
			ClientProperties: map[string]any{"connection_name": "mine", "at": at, "raw": []byte{0xff}}, ConnectedAt: at, ChannelMax: 2047,
			FrameMax: 131072, Heartbeat: time.Minute, State: "running", Channels: 2,
		}))
	}
	w.steps([]step{
		{"GET /api/connections/10.0.0.2%3A40000%20-%3E%2010.0.0.1%3A5672u", 200, `{"name":"10.0.0.2:40000 -> 10.0.0.1:5672u","user_provided_name":"mine",` +
			`"node":"n1","vhost":"/","user":"u","user_who_performed_action":"u","type":"network","protocol":"AMQP 0-9-1","auth_mechanism":"PLAIN",` +
			`"state":"running","channels":2,"channel_max":2047,"frame_max":131072,"timeout":60,"host":"10.0.0.1","port":5672,"peer_host":"10.0.0.2",` +
			`"peer_port":40000,"ssl":false,"ssl_protocol":null,"ssl_cipher":null,` +
			`"client_properties":{"at":1700000000,"connection_name":"mine","raw":"/w=="},"connected_at":1700000000123}`},
		{"GET /api/connections?columns=user", 200, `[{"user":"u"},{"user":"v"}]`},
		{"GET /api/connections/username/v?columns=user", 200, `[{"user":"v"}]`},
		{"DELETE /api/connections/nobody", 404, objectNotFound},
		{"DELETE /api/connections/username/u", 204, ""},
		{"GET /api/vhosts/%2F/connections?columns=user", 200, `[{"user":"v"}]`},
	})
	if want := []string{"10.0.0.2:40000 -> 10.0.0.1:5672u: Closed via management plugin"}; !slices.Equal(w.closed, want) {
		t.Errorf("closed %q", w.closed)
	}
	r := httptest.NewRequest(http.MethodDelete, "/api/connections/10.0.0.2%3A40000%20-%3E%2010.0.0.1%3A5672v", nil)
	r.Header.Set("X-Reason", "because")
	w.server.ServeHTTP(httptest.NewRecorder(), r)
	if len(w.closed) != 2 || !strings.HasSuffix(w.closed[1], ": because") {
		t.Errorf("closed %q", w.closed)
	}
}

func TestAlarmsAreShown(t *testing.T) {
	w := newWorld(t)
	w.steps([]step{
		{"GET /api/health/checks/alarms", 200, `{"status":"ok"}`},
		{"GET /api/nodes?columns=name,running", 200, `[{"name":"n1","running":true},{"name":"n2","running":false}]`},
		{"GET /api/nodes/n3", 404, objectNotFound},
	})
	w.node.MemAlarm, w.node.DiskFreeAlarm = true, true
	w.steps([]step{
		{"GET /api/nodes/n1?", 200, `"mem_alarm":true`},
		{"GET /api/health/checks/local-alarms", 503, `{"alarms":[{"node":"n1","resource":"memory"},{"node":"n1","resource":"disk"}],` +
			`"reason":"There are alarms in effect on the node","status":"failed"}`},
	})
}
