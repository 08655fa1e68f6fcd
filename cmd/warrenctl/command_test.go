package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/warrenmq/warren/cmd/control"
)

// fake is a node that answers as it is told, and remembers what it was asked.
type fake struct {
	answers map[string]string // "METHOD path" to the body; a leading number is the status
	asked   []string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	line := strings.TrimSpace(r.Method + " " + r.URL.EscapedPath() + " " + string(b))
	if reason := r.Header.Get("X-Reason"); reason != "" {
		line += " because " + reason
	}
	f.asked = append(f.asked, line)
	answer, known := f.answers[r.Method+" "+r.URL.EscapedPath()]
	code := http.StatusNoContent
	switch {
	case !known && r.Method == http.MethodGet:
		code, answer = http.StatusNotFound, `{"error":"Object Not Found","reason":"Not Found"}`
	case known:
		code = http.StatusOK
		if n, err := fmt.Sscanf(answer, "%d", &code); n == 1 && err == nil {
			_, answer, _ = strings.Cut(answer, " ")
		}
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, answer)
}

// serve lets f be the node of a data folder.
func (f *fake) serve(t *testing.T) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, control.Socket))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return dir
}

// run runs the tool.
func run(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	var b strings.Builder
	cmd := command()
	cmd.SetArgs(append([]string{"--data", dir}, args...))
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetIn(strings.NewReader("typed\nmore\n"))
	err = cmd.ExecuteContext(t.Context())
	return b.String(), err
}

func TestCommandsAskWhatTheyShould(t *testing.T) {
	const missing = `404 {"error":"Object Not Found","reason":"Not Found"}`
	for _, c := range []struct {
		args    string // split at spaces; _ stands for an empty one
		answers map[string]string
		asked   string // lines
		out     string
	}{
		{"add_vhost a/b --description d --tags x,y", nil,
			`PUT /api/vhosts/a%2Fb {"description":"d","tags":"x,y"}`, "Adding vhost \"a/b\" ...\n"},
		{"-q delete_vhost v", nil, `DELETE /api/vhosts/v`, ""},
		{"add_user u secret", nil, "GET /api/users/u\nPUT /api/users/u {\"password\":\"secret\",\"tags\":[]}", "Adding user \"u\" ...\n" + welcome + "\n"},
		{"-s add_user u", nil, "GET /api/users/u\nPUT /api/users/u {\"password\":\"typed\",\"tags\":[]}", ""},
		{"-q add_user u AQID --pre-hashed-password", nil, "GET /api/users/u\nPUT /api/users/u {\"password_hash\":\"AQID\",\"tags\":[]}", ""},
		{"delete_user u", nil, "DELETE /api/users/u", "Deleting user \"u\" ...\n"},
		{"change_password u p", map[string]string{"GET /api/users/u": `{"name":"u","password_hash":"x","tags":["a"]}`},
			"GET /api/users/u\nPUT /api/users/u {\"password\":\"p\",\"tags\":[\"a\"]}", "Changing password for user \"u\" ...\n"},
		{"set_user_tags u b c", map[string]string{"GET /api/users/u": `{"name":"u","password_hash":"x","hashing_algorithm":"h","tags":["a"]}`},
			"GET /api/users/u\nPUT /api/users/u {\"password_hash\":\"x\",\"hashing_algorithm\":\"h\",\"tags\":[\"b\",\"c\"]}",
			"Setting tags for user \"u\" to [b, c] ...\n"},
		{"set_permissions -p v u .* _ a", nil, `PUT /api/permissions/v/u {"configure":".*","read":"a","write":""}`,
			"Setting permissions for user \"u\" in vhost \"v\" ...\n"},
		{"clear_permissions u", nil, `DELETE /api/permissions/%2F/u`, "Clearing permissions for user \"u\" in vhost \"/\" ...\n"},
		{"set_topic_permissions u x w r", nil, `PUT /api/topic-permissions/%2F/u {"exchange":"x","read":"r","write":"w"}`,
			"Setting topic permissions on \"x\" for user \"u\" in vhost \"/\" ...\n"},
		{"clear_topic_permissions u x", nil, `DELETE /api/topic-permissions/%2F/u/x`, "Clearing topic permissions on \"x\" for user \"u\" in vhost \"/\" ...\n"},
		{"clear_topic_permissions u", nil, `DELETE /api/topic-permissions/%2F/u`, "Clearing topic permissions for user \"u\" in vhost \"/\" ...\n"},
		{`set_policy p ^q {"max-length":5} --priority 7 --apply-to queues`, nil,
			`PUT /api/policies/%2F/p {"apply-to":"queues","definition":{"max-length":5},"pattern":"^q","priority":7}`,
			"Setting policy \"p\" for pattern \"^q\" to \"{\"max-length\":5}\" with priority \"7\" for vhost \"/\" ...\n"},
		{"clear_policy -p v p", nil, `DELETE /api/policies/v/p`, "Clearing policy \"p\" on vhost \"v\" ...\n"},
		{`-q set_operator_policy p ^q {"max-length":5}`, nil,
			`PUT /api/operator-policies/%2F/p {"apply-to":"all","definition":{"max-length":5},"pattern":"^q","priority":0}`, ""},
		{"-q clear_operator_policy p", nil, `DELETE /api/operator-policies/%2F/p`, ""},
		{`-q set_vhost_limits {"max-queues":5}`, nil, "PUT /api/vhost-limits/%2F/max-queues {\"value\":5}\nDELETE /api/vhost-limits/%2F/max-connections", ""},
		{"-q clear_vhost_limits", nil, "DELETE /api/vhost-limits/%2F/max-connections\nDELETE /api/vhost-limits/%2F/max-queues", ""},
		{`-q set_user_limits u {"max-channels":5}`, nil, `PUT /api/user-limits/u/max-channels {"value":5}`, ""},
		{"-q clear_user_limits u max-channels", nil, "DELETE /api/user-limits/u/max-channels", ""},
		{"-q clear_user_limits u all", nil, "DELETE /api/user-limits/u/max-connections\nDELETE /api/user-limits/u/max-channels", ""},
		{"close_connection c1 why", nil, "DELETE /api/connections/c1 because why", "Closing connection c1, reason: why...\n"},
		{"close_all_connections --limit 1 why", map[string]string{"GET /api/vhosts/%2F/connections": `[{"name":"c1","node":"n"},{"name":"c2","node":"n"}]`},
			"GET /api/vhosts/%2F/connections\nDELETE /api/connections/c1 because why", "Closing 1 connections in vhost /, reason: why...\nClosed 1 connections\n"},
		{"-q close_all_connections --global why", map[string]string{"GET /api/overview": `{"node":"n1"}`,
			"GET /api/connections": `[{"name":"c1","node":"n1"},{"name":"c2","node":"n2"}]`},
			"GET /api/overview\nGET /api/connections\nDELETE /api/connections/c1 because why", "Closed 1 connections\n"},
		{"set_vm_memory_high_watermark 0.4", nil, "PUT /limits/memory 0.4", "Setting memory threshold to 0.4 ...\n"},
		{"-q set_vm_memory_high_watermark absolute 2M", nil, "PUT /limits/memory 2097152", ""},
		{"-q set_disk_free_limit 2GB", nil, "PUT /limits/disk 2000000000", ""},
		{"-q set_disk_free_limit mem_relative 2", nil, "PUT /limits/disk 2.0", ""},
		{"set_disk_free_limit 5 --formatter json", nil, "PUT /limits/disk 5", "{\"result\":\"ok\"}\n"},
		{"-q delete_queue q --if-empty", map[string]string{"DELETE /api/queues/%2F/q": "204"}, "DELETE /api/queues/%2F/q", ""},
		{"clear_permissions -q u", map[string]string{"DELETE /api/permissions/%2F/u": missing, "GET /api/users/u": `{}`, "GET /api/vhosts/%2F": `{}`},
			"DELETE /api/permissions/%2F/u\nGET /api/users/u\nGET /api/vhosts/%2F", ""},
	} {
		f := &fake{answers: c.answers}
		args := strings.Fields(c.args)
		for i := range args {
			if args[i] == "_" {
				args[i] = ""
			}
		}
		out, err := run(t, f.serve(t), args...)
		if asked := strings.Join(f.asked, "\n"); err != nil || asked != c.asked || out != c.out {
			t.Errorf("%s: %v\nasked\n%s\nwant\n%s\nsaid %q\nwant %q", c.args, err, asked, c.asked, out, c.out)
		}
	}
}

func TestListings(t *testing.T) {
	queues := map[string]string{"GET /api/queues/%2F": `[{"name":"a\tb","messages":12345678,"durable":true,"arguments":{"x":1,"y":"z"},"members":["n1","n2"]},` +
		`{"name":"q","state":"down"}]`}
	for _, c := range []struct {
		args    string
		answers map[string]string
		want    string
	}{
		{"list_queues", queues, "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\nname\tmessages\na\\tb\t12345678\nq\t\n"},
		{"list_queues -q name,durable arguments members", queues,
			"name\tdurable\targuments\tmembers\na\\tb\ttrue\t[{\"x\",1},{\"y\",\"z\"}]\t[n1, n2]\nq\t\t[]\t\n"},
		{"-s list_queues name", queues, "a\\tb\nq\n"},
		{"-q --no-table-headers list_queues name", queues, "a\\tb\nq\n"},
		{"--formatter json list_queues messages name", queues, "[\n{\"messages\":12345678,\"name\":\"a\\tb\"}\n,{\"messages\":null,\"name\":\"q\"}\n]\n"},
		{"list_queues --formatter=csv name messages", queues, "\"name\",\"messages\"\n\"a\\tb\",\"12345678\"\n\"q\",\"\"\n"},
		{"list_queues -q", map[string]string{"GET /api/queues/%2F": "[]"}, ""},
		{"list_users", map[string]string{"GET /api/users": `[{"name":"guest","tags":["administrator","x"]},{"name":"u","tags":[]}]`},
			"Listing users ...\nuser\ttags\nguest\t[administrator, x]\nu\t[]\n"},
		{"list_vhosts -q name tags", map[string]string{"GET /api/vhosts": `[{"name":"/","tags":[]}]`}, "name\ttags\n/\t[]\n"},
		{"list_permissions -p v", map[string]string{"GET /api/vhosts/v/permissions": `[{"user":"u","vhost":"v","configure":".*","write":"","read":"a"}]`},
			"Listing permissions for vhost \"v\" ...\nuser\tconfigure\twrite\tread\nu\t.*\t\ta\n"},
		{"list_policies -q", map[string]string{"GET /api/policies/%2F": `[{"vhost":"/","name":"p","pattern":"^q","apply-to":"queues","definition":{"max-length":5},"priority":0}]`},
			"vhost\tname\tpattern\tapply-to\tdefinition\tpriority\n/\tp\t^q\tqueues\t{\"max-length\":5}\t0\n"},
		{"list_bindings -q", map[string]string{"GET /api/bindings/%2F": `[{"source":"","destination":"q","destination_type":"queue","routing_key":"q","arguments":{}}]`},
			"source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n\texchange\tq\tqueue\tq\t[]\n"},
		{"list_connections -q pid user", map[string]string{"GET /api/connections": `[{"name":"a -> b","user":"u"}]`}, "pid\tuser\na -> b\tu\n"},
		{"list_vhost_limits -q", map[string]string{"GET /api/vhost-limits/%2F": `[{"vhost":"/","value":{"max-queues":1}}]`}, "{\"max-queues\":1}\n"},
	} {
		out, err := run(t, (&fake{answers: c.answers}).serve(t), strings.Fields(c.args)...)
		want := strings.ReplaceAll(c.want, "q\t\t[]\t\n", "q\t\t\t\n") // what is not told is empty
		if err != nil || out != want {
			t.Errorf("%s: %v\n%q\nwant\n%q", c.args, err, out, want)
		}
	}
}

func TestWhatFailsHasRabbitMQsExitCode(t *testing.T) {
	const missing = `404 {"error":"Object Not Found","reason":"Not Found"}`
	for _, c := range []struct {
		args    string
		answers map[string]string
		code    int
		want    string
	}{
		{"frobnicate", nil, exitUsage, "Command 'frobnicate' not found"},
		{"list_queues --nonsense", nil, exitUsage, "unknown flag"},
		{"list_queues nonsense", nil, exitUsage, "Info key `nonsense` is not supported"},
		{"list_users name", nil, exitUsage, "too many arguments"},
		{"list_users --formatter xml", nil, exitUsage, "xml"},
		{"add_vhost", nil, exitUsage, "not enough arguments"},
		{"delete_vhost v", map[string]string{"DELETE /api/vhosts/v": missing}, exitData, "Virtual host 'v' does not exist"},
		{"list_queues -p v", nil, exitData, "Virtual host 'v' does not exist"},
		{"add_user u p", map[string]string{"GET /api/users/u": `{"name":"u"}`}, exitSoftware, `User "u" already exists`},
		{"add_user u % --pre-hashed-password", nil, exitUsage, "Base64"},
		{"delete_user u", map[string]string{"DELETE /api/users/u": missing}, exitNoUser, `User "u" does not exist`},
		{"change_password u p", nil, exitNoUser, `User "u" does not exist`},
		{"set_permissions u a b c", map[string]string{"PUT /api/permissions/%2F/u": `400 {"error":"bad_request","reason":"vhost_or_user_not_found"}`},
			exitNoUser, "User u does not exist"},
		{"set_permissions u a b c", map[string]string{"PUT /api/permissions/%2F/u": `400 {"error":"bad_request","reason":"vhost_or_user_not_found"}`,
			"GET /api/users/u": "{}"}, exitSoftware, "Virtual host / does not exist"},
		{"clear_permissions u", map[string]string{"DELETE /api/permissions/%2F/u": missing}, exitNoUser, "User u does not exist"},
		{"set_policy p ^q nonsense", nil, exitSoftware, "Could not parse JSON document"},
		{"set_policy p ^q {}", map[string]string{"PUT /api/policies/%2F/p": `400 {"error":"bad_request","reason":"Validation failed\n\nno policy provided\n"}`},
			exitSoftware, "Validation failed\n\nno policy provided\n"},
		{"clear_policy p", map[string]string{"DELETE /api/policies/%2F/p": missing}, exitSoftware, "Parameter does not exist"},
		{"set_vm_memory_high_watermark 1.5", nil, exitUsage, "The threshold should be a fraction between 0.0 and 1.0"},
		{"set_vm_memory_high_watermark absolute", nil, exitUsage, "not enough arguments"},
		{"set_vm_memory_high_watermark absolute 1TB", nil, exitUsage, "The threshold should be an integer"},
		{"set_disk_free_limit much", nil, exitUsage, "bad argument"},
	} {
		out, err := run(t, (&fake{answers: c.answers}).serve(t), strings.Fields(c.args)...)
		if err == nil || exitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (said %q), want %d, %s", c.args, err, out, c.code, c.want)
		}
	}
	if _, err := run(t, "/nowhere", "list_users"); exitCode(err) != exitUnavailable {
		t.Errorf("no node: %v", err)
	}
}
