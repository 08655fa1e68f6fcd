package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
)

func tcp(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5672} }

func checker() *Checker {
	users := map[string]User{
		"guest":  {Name: "guest", PasswordHash: HashPassword("guest", [4]byte{1, 2, 3, 4})},
		"anna":   {Name: "anna", PasswordHash: HashPassword("geheim", [4]byte{9, 9, 9, 9}), HashingAlgorithm: SHA256},
		"nohash": {Name: "nohash"},
	}
	return New(Config{
		User: func(name string) (User, bool) { u, ok := users[name]; return u, ok },
		Permission: func(user, vhost string) (Permission, bool) {
			switch {
			case user == "guest":
				return Permission{user, vhost, ".*", ".*", ".*"}, true
			case user == "anna" && vhost == "/":
				return Permission{user, vhost, "", "^(out-.*|amq\\.default)$", "in"}, true
			}
			return Permission{}, false
		},
		VHost:         func(name string) bool { return name == "/" || name == "v" },
		LoopbackUsers: DefaultLoopbackUsers(),
	})
}

func amqplain(fields ...string) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = append(append(b, byte(len(fields[i]))), fields[i]...)
		b = append(append(b, 'S', 0, 0, 0, byte(len(fields[i+1]))), fields[i+1]...)
	}
	return b
}

func TestAuthenticate(t *testing.T) {
	const refused = "Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
	for _, tt := range []struct {
		name, mechanism string
		response        []byte
		peer            net.Addr
		user            string
		kind            error
		text            string
	}{
		{"PLAIN", "PLAIN", []byte("\x00anna\x00geheim"), tcp("10.0.0.1"), "anna", nil, ""},
		{"AMQPLAIN", "AMQPLAIN", amqplain("LOGIN", "anna", "PASSWORD", "geheim"), tcp("10.0.0.1"), "anna", nil, ""},
		{"AMQPLAIN in another order with more fields", "AMQPLAIN", amqplain("X", "", "PASSWORD", "geheim", "LOGIN", "anna"), tcp("::1"), "anna", nil, ""},
		{"guest on loopback", "PLAIN", []byte("\x00guest\x00guest"), tcp("127.0.0.2"), "guest", nil, ""},
		{"guest on IPv6 loopback", "PLAIN", []byte("\x00guest\x00guest"), tcp("::1"), "guest", nil, ""},
		{"guest on mapped loopback", "PLAIN", []byte("\x00guest\x00guest"), tcp("::ffff:127.0.0.1"), "guest", nil, ""},
		{"guest on a Unix socket", "PLAIN", []byte("\x00guest\x00guest"), &net.UnixAddr{Name: "s", Net: "unix"}, "guest", nil, ""},
		{"guest from elsewhere", "PLAIN", []byte("\x00guest\x00guest"), tcp("192.168.0.1"), "", ErrRefused, refused},
		{"guest from an address of unknown kind", "PLAIN", []byte("\x00guest\x00guest"), nil, "", ErrRefused, refused},
		{"a wrong password", "PLAIN", []byte("\x00anna\x00falsch"), tcp("::1"), "", ErrRefused, refused},
		{"a blank password", "PLAIN", []byte("\x00anna\x00"), tcp("::1"), "", ErrRefused, refused},
		{"an unknown user", "PLAIN", []byte("\x00bob\x00geheim"), tcp("::1"), "", ErrRefused, refused},
		{"a user without a hash", "PLAIN", []byte("\x00nohash\x00x"), tcp("::1"), "", ErrRefused, refused},
		{"an authorization id", "PLAIN", []byte("root\x00anna\x00geheim"), tcp("::1"), "", ErrMalformed, "response invalid"},
		{"no password", "PLAIN", []byte("\x00anna"), tcp("::1"), "", ErrMalformed, "response invalid"},
		{"a third part", "PLAIN", []byte("\x00anna\x00geheim\x00"), tcp("::1"), "", ErrMalformed, "response invalid"},
		{"an empty response", "PLAIN", nil, tcp("::1"), "", ErrMalformed, "response invalid"},
		{"AMQPLAIN with a field that is no string", "AMQPLAIN", append(amqplain("LOGIN", "anna", "PASSWORD", "geheim"), "\x01XI\x00\x00\x00\x01"...), tcp("::1"), "anna", nil, ""},
		{"a LOGIN that is no string", "AMQPLAIN", append(amqplain("PASSWORD", "geheim"), "\x05LOGINI\x00\x00\x00\x01"...), tcp("::1"), "", ErrMalformed,
			"AMQPLAIN auth info uses unsupported type for LOGIN or PASSWORD field"},
		{"no LOGIN", "AMQPLAIN", amqplain("PASSWORD", "geheim"), tcp("::1"), "", ErrMalformed,
			"AMQPLAIN auth info is missing LOGIN or PASSWORD field"},
		{"a length beyond the end", "AMQPLAIN", []byte("\x05LOGINS\xff\xff\xff\xffanna"), tcp("::1"), "", ErrMalformed,
			"AMQPLAIN auth info uses unsupported type for LOGIN or PASSWORD field"},
		{"an unknown mechanism", "EXTERNAL", nil, tcp("::1"), "", ErrUnknownMechanism, "unknown authentication mechanism 'EXTERNAL'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user, err := checker().Authenticate(tt.mechanism, tt.response, tt.peer)
			if user != tt.user || !errors.Is(err, tt.kind) {
				t.Fatalf("Authenticate = %q, %v; want %q, %v", user, err, tt.user, tt.kind)
			}
			var e *Error
			if errors.As(err, &e) && (e.Text != tt.text || strings.Contains(err.Error(), "geheim")) {
				t.Errorf("Authenticate: %v, want %s", err, tt.text)
			}
		})
	}
}

// TestHashesOfRabbitMQ holds hashes that RabbitMQ's documentation and definitions files give.
func TestHashesOfRabbitMQ(t *testing.T) {
	for _, tt := range []struct{ name, algorithm, hash, password string }{
		{"the documentation's example", SHA256, "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "test12"},
		{"no algorithm is SHA-256", "", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "test12"},
	} {
		hash, err := base64.StdEncoding.DecodeString(tt.hash)
		if err != nil {
			t.Fatal(err)
		}
		u := User{PasswordHash: hash, HashingAlgorithm: tt.algorithm}
		if !u.CheckPassword(tt.password) || u.CheckPassword(tt.password+"x") {
			t.Errorf("%s: the password does not fit or another does", tt.name)
		}
	}
	for _, algorithm := range []string{SHA256, SHA512, MD5, "rabbit_password_hashing_rot13"} {
		u := User{PasswordHash: append([]byte("salt"), saltedHash(algorithm, []byte("salt"), "pw")...), HashingAlgorithm: algorithm}
		if got, want := u.CheckPassword("pw"), algorithm != "rabbit_password_hashing_rot13"; got != want {
			t.Errorf("%s: CheckPassword = %v, want %v", algorithm, got, want)
		}
	}
}

func TestAccess(t *testing.T) {
	c := checker()
	queue := func(name string) Resource { return Resource{VHost: "/", Name: name} }
	exchange := func(name string) Resource { return Resource{VHost: "/", Name: name, Exchange: true} }
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"everything is granted", c.CheckAccess("guest", Configure, queue("q")), ""},
		{"an expression finds anywhere", c.CheckAccess("anna", Read, queue("mainline")), ""},
		{"an anchored expression", c.CheckAccess("anna", Write, queue("out-1")), ""},
		{"the default exchange has a name", c.CheckAccess("anna", Write, exchange("")), ""},
		{"an empty expression grants nothing", c.CheckAccess("anna", Configure, queue("q")),
			"configure access to queue 'q' in vhost '/' refused for user 'anna'"},
		{"an exchange is refused", c.CheckAccess("anna", Read, exchange("")),
			"read access to exchange 'amq.default' in vhost '/' refused for user 'anna'"},
		{"any access is enough", c.CheckAnyAccess("anna", queue("in")), ""},
		{"no access is not", c.CheckAnyAccess("anna", queue("x")), "configure access to queue 'x' in vhost '/' refused for user 'anna'"},
		{"a vhost is granted", c.VHostAccess("guest", "v"), ""},
		{"a vhost is missing", c.VHostAccess("guest", "none"), "vhost none not found"},
		{"a vhost is refused", c.VHostAccess("anna", "v"), "access to vhost 'v' refused for user 'anna'"},
	} {
		if tt.err == nil && tt.want == "" {
			continue
		}
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", tt.name, tt.err, tt.want)
		}
	}
}

func TestExpressions(t *testing.T) {
	c := checker()
	for _, tt := range []struct {
		name, expression, on string
		want                 bool
	}{
		{"the empty expression is the empty name", "", "", true},
		{"the empty expression is no name", "", "q", false},
		{"an expression is found anywhere", "in", "main", true},
		{"an expression may look ahead", "^(?!amq[.])", "q", true},
		{"what looks ahead refuses, too", "^(?!amq[.])", "amq.q", false},
		{"what is no expression grants nothing", "(", "(", false},
	} {
		for range 2 { // compiled once, then kept
			if got := c.grants(tt.expression, tt.on); got != tt.want {
				t.Errorf("%s: grants(%q, %q) = %v", tt.name, tt.expression, tt.on, got)
			}
		}
	}
	for i := range 2 * maxExpressions {
		c.grants(strconv.Itoa(i), "")
	}
	if len(c.patterns) > maxExpressions {
		t.Errorf("%d expressions are kept", len(c.patterns))
	}
	if CheckExpression("^a.*$") != nil || CheckExpression("(") == nil {
		t.Error("CheckExpression has them the wrong way round")
	}
}

func TestTopicAccess(t *testing.T) {
	c := New(Config{TopicPermission: func(user, vhost, exchange string) (TopicPermission, bool) {
		return TopicPermission{user, vhost, exchange, "^{username}[.]{vhost}[.]", ""}, exchange == "confined"
	}})
	confined := Resource{VHost: "/", Name: "confined", Exchange: true}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"an exchange without one", c.CheckTopicAccess("anna", Write, Resource{VHost: "/", Name: "free", Exchange: true}, "k"), ""},
		{"the key fits", c.CheckTopicAccess("anna", Write, confined, "anna./.k"), ""},
		{"a name means itself", c.CheckTopicAccess("a+", Write, confined, "a+./.k"), ""},
		{"a name is no expression", c.CheckTopicAccess("a+", Write, confined, "aaa./.k"),
			"write access to topic 'aaa./.k' in exchange 'confined' in vhost '/' refused for user 'a+'"},
		{"the key does not fit", c.CheckTopicAccess("anna", Write, confined, "bob./.k"),
			"write access to topic 'bob./.k' in exchange 'confined' in vhost '/' refused for user 'anna'"},
		{"the empty expression grants nothing", c.CheckTopicAccess("anna", Read, confined, "k"),
			"read access to topic 'k' in exchange 'confined' in vhost '/' refused for user 'anna'"},
		{"nobody is confined", New(Config{}).CheckTopicAccess("anna", Read, confined, "k"), ""},
	} {
		switch {
		case tt.err == nil && tt.want == "":
		case tt.err == nil || tt.err.Error() != tt.want || !errors.Is(tt.err, ErrRefused):
			t.Errorf("%s: got %v, want %q", tt.name, tt.err, tt.want)
		}
	}
}

func TestImpersonates(t *testing.T) {
	c := New(Config{User: func(name string) (User, bool) {
		return User{Name: name, Tags: []string{"monitoring", name}}, name != "unknown"
	}})
	if !c.Impersonates("impersonator") || c.Impersonates("anna") || c.Impersonates("unknown") {
		t.Error("the tag impersonator decides")
	}
}

func FuzzParseAMQPlain(f *testing.F) {
	f.Add(amqplain("LOGIN", "a", "PASSWORD", "b"))
	f.Add([]byte("\x05LOGINS\x00\x00\x00\x01a\x08PASSWORDx\x00\x00\x00\x00"))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseAMQPlain(in)
		if err == nil && (!bytes.Contains(in, []byte(c.User)) || !bytes.Contains(in, []byte(c.Password))) {
			t.Fatalf("% x gave %+v", in, c)
		}
	})
}
