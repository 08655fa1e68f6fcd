package scenarios

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// permissions is K10 to K14: who may do what, and what those hear who may not.
func permissions() []Scenario {
	all := slices.Concat(refusedOperations(), passiveDeclares(), topicPermissions(), aboutUsers())
	for i := range all {
		sc := &all[i]
		if sc.Upgrade == nil {
			sc.Upgrade = accesses(nil)
		}
		if sc.Source == "" {
			sc.Source = accessSource
		}
	}
	return all
}

// aboutUsers is what users may do and are.
func aboutUsers() []Scenario {
	return slices.Concat(permissionsOfUsers(), neededPermissions(), changedUsers())
}

// permissionsOfUsers is K10: what users may do.
func permissionsOfUsers() []Scenario {
	return []Scenario{
		{Name: "K10/an expression is found anywhere in a name", Run: func(s *S) {
			mine, his := s.Name("team-queue"), s.Name("other")
			u := s.User("u", "", "team", "", "")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Do(&wire.QueueDeclare{Queue: mine, Durable: true})
			ch.Do(&wire.QueueDeclare{Queue: his, Durable: true})
		}},
		{Name: "K10/an anchored expression", Run: func(s *S) {
			u := s.User("u", "", "^mine-.*", ".*", ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("mine-1"), Durable: true})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("not-mine-1"), Durable: true})
		}},
		{Name: "K10/an expression with alternatives", Run: func(s *S) {
			u := s.User("u", "", "^(a|b)-", ".*", ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Do(&wire.QueueDeclare{Queue: s.Name("a-q"), Durable: true})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("b-q"), Durable: true})
			ch.Do(&wire.QueueDeclare{Queue: s.Name("c-q"), Durable: true})
		}},
		{Name: "K10/an empty expression is nothing", Run: func(s *S) {
			u := s.User("u", "", "", "", "")
			s.Connect(As(u, "secret")).Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true})
		}},
		{Name: "K10,E7/a queue that the server names needs its name's permission", Run: func(s *S) {
			u := s.User("u", "", `^amq\.gen`, ".*", ".*")
			c := s.Connect(As(u, "secret"))
			c.Channel().Do(&wire.QueueDeclare{Exclusive: true})
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "K10/refused access closes one channel of many", Run: func(s *S) {
			u := s.User("u", "", "^may", ".*", ".*")
			c := s.Connect(As(u, "secret"))
			a, b := c.Channel(), c.Channel()
			a.Do(&wire.QueueDeclare{Queue: s.Name("no"), Durable: true})
			b.Do(&wire.QueueDeclare{Queue: s.Name("may"), Durable: true})
		}},
		{Name: "K10,D3/the default exchange is amq.default", Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			u := s.User("u", "", "", `^amq\.default$`, "")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish("", q, P{}, "hello")
			ch.Confirms(1)
			ch.Publish("amq.fanout", q, P{}, "hello")
			ch.Expect()
		}},
		{Name: "K10,G1/permission comes before existence", Run: func(s *S) {
			u := s.User("u", "", "^may", "^may", "^may")
			c := s.Connect(As(u, "secret"))
			for _, q := range []string{s.Name("no"), s.Name("may")} {
				ch := c.Channel()
				ch.Publish(q, "", P{}, "hello")
				ch.Expect()
				ch = c.Channel()
				ch.Get(q)
				c.Channel().Consume(q, "tag", nil)
				c.Channel().Do(&wire.QueuePurge{Queue: q})
				c.Channel().Do(&wire.QueueDelete{Queue: q})
				c.Channel().Do(&wire.QueueBind{Queue: q, Exchange: q})
				c.Channel().Do(&wire.ExchangeDelete{Exchange: q})
			}
		}},
		{Name: "K10,B15/no permissions in the virtual host", Run: func(s *S) {
			v := s.VHost("v")
			u := s.User("u", "", ".*", ".*", ".*")
			s.Connect(As(u, "secret"), VHost(v))
		}},
		{Name: "K10/permissions are of one virtual host", Run: func(s *S) {
			v := s.VHost("v")
			u := s.User("u", "", ".*", ".*", ".*")
			s.Permit(u, v, "", "", "")
			s.Connect(As(u, "secret"), VHost(v)).Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true})
		}},
		{Name: "K10,B15/an administrator without permissions", Run: func(s *S) {
			v := s.VHost("v")
			u := s.User("u", "administrator", ".*", ".*", ".*")
			s.Connect(As(u, "secret"), VHost(v))
		}},
		{Name: "K10/an expression that is none", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			status(s, "PUT", "/api/permissions/%2F/"+u, T{"configure": "(", "write": ".*", "read": ".*"})
			s.HTTP("PUT", "/api/permissions/%2F/"+u, T{"configure": ".*", "write": ".*"})
		}},
		{Name: "K10/permissions of nobody", Run: func(s *S) {
			s.HTTP("PUT", "/api/permissions/%2F/"+s.Name("nobody"), T{"configure": ".*", "write": ".*", "read": ".*"})
		}},
		{Name: "K10,K6/permissions in no virtual host", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/permissions/"+s.Name("nowhere")+"/"+u, T{"configure": ".*", "write": ".*", "read": ".*"})
		}},
	}
}

// neededPermissions is K11: what an operation needs beside.
func neededPermissions() []Scenario {
	return []Scenario{
		{Name: "K11,E20/a dead-letter exchange needs reading the queue and writing the exchange", Upgrade: accesses(map[string]string{"q": "read", "x": "write", "amq.default": "write"}), Run: func(s *S) {
			u := s.User("u", "", ".*", "^dlx", "^readable")
			c := s.Connect(As(u, "secret"))
			for _, q := range []string{"readable", "q"} {
				for _, x := range []string{"dlx", "x", ""} {
					c.Channel().Do(&wire.QueueDeclare{Queue: s.Name(q), Durable: true, Arguments: T{"x-dead-letter-exchange": x}})
					s.Silently(func() { s.Connect().Channel().Do(&wire.QueueDelete{Queue: s.Name(q)}) })
				}
			}
		}},
		{Name: "K11,E20/a queue that is there needs no more for its dead-letter exchange", Run: func(s *S) {
			args := T{"x-dead-letter-exchange": "amq.fanout"}
			s.Connect().Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: args})
			u := s.User("u", "", ".*", "", "")
			s.Connect(As(u, "secret")).Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Durable: true, Arguments: args})
		}},
		{Name: "K11,D9/an alternate exchange needs reading the one and writing the other", Upgrade: accesses(map[string]string{"x": "read", "other": "write"}), Run: func(s *S) {
			u := s.User("u", "", ".*", "^ae", "^readable")
			c := s.Connect(As(u, "secret"))
			for _, x := range []string{"readable", "x"} {
				for _, ae := range []string{"ae", "other"} {
					c.Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name(x), Type: "direct", Durable: true, Arguments: T{"alternate-exchange": ae}})
					s.Silently(func() { s.Connect().Channel().Do(&wire.ExchangeDelete{Exchange: s.Name(x)}) })
				}
			}
		}},
		{Name: "K11,J4/dead letters ask for no permission when they go", Run: func(s *S) {
			ch := s.Connect().Channel()
			dead := ch.Queue("dead", nil)
			q := ch.Queue("q", T{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
			s.Put(q, "1")
			ch.Await(q, 1, 0)
			u := s.User("u", "", "", "", "^q")
			reader := s.Connect(As(u, "secret")).Channel()
			reader.Reject(reader.Get(q).Tag(), false)
			ch.Await(dead, 1, 0)
		}},
		{Name: "K11,G9/CC asks for the exchange's permission alone", Run: func(s *S) {
			ch := s.Connect().Channel()
			a, b := ch.Queue("a", nil), ch.Queue("b", nil)
			u := s.User("u", "", "", `^amq\.default$`, "")
			writer := s.Connect(As(u, "secret")).Channel()
			writer.Confirm()
			writer.Publish("", a, P{Headers: T{"CC": []any{b}}}, "hello")
			writer.Confirms(1)
			ch.Await(b, 1, 0)
		}},
	}
}

// changedUsers is K13 to K15: users that change.
func changedUsers() []Scenario {
	return []Scenario{
		{Name: "K14/permission to publish is revoked", Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			u := s.User("u", "", "", ".*", "")
			c := s.Connect(As(u, "secret"))
			s.Permit(u, "/", "", "", "")
			ch := c.Channel()
			ch.Publish("", q, P{}, "hello")
			ch.Expect()
		}},
		{Name: "K14/permission to publish is revoked on a channel that has used it", Differs: "K14", Delta: `
			- c2.1 < confirms 2:ack
			+ c2.1 < channel.close 403 "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'u'" (60,40)`, Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			u := s.User("u", "", "", ".*", "")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish("", q, P{}, "hello")
			ch.Confirms(1)
			s.Permit(u, "/", "", "", "")
			ch.Publish("", q, P{}, "hello")
			ch.Confirms(1)
		}},
		{Name: "K14/a permission that is granted works at once", Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			u := s.User("u", "", "", "", "")
			c := s.Connect(As(u, "secret"))
			c.Channel().Get(q)
			s.Permit(u, "/", "", "", ".*")
			c.Channel().Get(q)
		}},
		{Name: "K13,G8/tags of an impersonator", Kinds: Everywhere(), Run: func(s *S) {
			q := s.Connect().Channel().Queue("q", nil)
			for _, tags := range []string{"administrator", "monitoring,impersonator", "management"} {
				u := s.User("u-"+tags[:3], tags, ".*", ".*", ".*")
				ch := s.Connect(As(u, "secret")).Channel()
				ch.Confirm()
				ch.Publish("", q, P{UserID: "guest"}, "hello")
				ch.Expect()
			}
		}},
		{Name: "K13/tags are told as they were set", Run: func(s *S) {
			u := s.User("u", "monitoring,policymaker", ".*", ".*", ".*")
			s.Record("%v", s.HTTP("GET", "/api/users/"+u, nil).Field("tags"))
			s.HTTP("PUT", "/api/users/"+u, T{"password": "secret", "tags": "some,of,ours"})
			s.Record("%v", s.HTTP("GET", "/api/users/"+u, nil).Field("tags"))
		}},
		{Name: "K13/a user without a tag may use AMQP", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.Connect(As(u, "secret")).Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "K15,B5/a password is changed", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/users/"+u, T{"password": "another", "tags": ""})
			s.Connect(As(u, "another"))
			s.Connect(As(u, "secret"))
		}},
		{Name: "K15/a hash of SHA-256", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			// Of "test12" with the salt 908DC60A, from RabbitMQ's documentation.
			s.HTTP("PUT", "/api/users/"+u, T{"password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "tags": ""})
			s.Connect(As(u, "test12"))
			s.Connect(As(u, "secret"))
		}},
		{Name: "K15,B5/a user without a password cannot log in", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/users/"+u, T{"password_hash": "", "tags": ""})
			s.Connect(As(u, ""))
		}},
		{Name: "K15/a user needs a password or a hash", Run: func(s *S) {
			s.HTTP("PUT", "/api/users/"+s.Name("u"), T{"tags": ""})
		}},
		{Name: "B20,K10/a user that is deleted", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			c := s.Connect(As(u, "secret"))
			s.HTTP("DELETE", "/api/users/"+u, nil)
			c.Within(8 * time.Second)
			s.Connect(As(u, "secret"))
		}},
	}
}

// refusedOperations is K11: for each operation a user who may do all but what it
// needs, and one who may do only that.
func refusedOperations() (list []Scenario) {
	type names struct{ q, x, y string }
	for _, c := range []struct {
		rows, what             string
		configure, write, read string // what it needs
		do                     func(names) wire.Method
	}{
		{"K11,D1", "exchange.declare", "^new", "", "", func(n names) wire.Method {
			return &wire.ExchangeDeclare{Exchange: "new" + n.x, Type: "direct", Durable: true}
		}},
		{"K11,D10", "exchange.delete", "^x", "", "", func(n names) wire.Method { return &wire.ExchangeDelete{Exchange: n.x} }},
		{"K11,D11", "exchange.bind", "", "^y", "^x", func(n names) wire.Method {
			return &wire.ExchangeBind{Source: n.x, Destination: n.y, RoutingKey: "k"}
		}},
		{"K11,D11", "exchange.unbind", "", "^y", "^x", func(n names) wire.Method {
			return &wire.ExchangeUnbind{Source: n.x, Destination: n.y, RoutingKey: "k"}
		}},
		{"K11,E1", "queue.declare", "^q", "", "", func(n names) wire.Method {
			return &wire.QueueDeclare{Queue: n.q, Durable: true}
		}},
		{"K11,F6", "queue.delete", "^q", "", "", func(n names) wire.Method { return &wire.QueueDelete{Queue: n.q} }},
		{"K11,F1", "queue.bind", "", "^q", "^x", func(n names) wire.Method {
			return &wire.QueueBind{Queue: n.q, Exchange: n.x, RoutingKey: "k"}
		}},
		{"K11,F2", "queue.unbind", "", "^q", "^x", func(n names) wire.Method {
			return &wire.QueueUnbind{Queue: n.q, Exchange: n.x, RoutingKey: "k"}
		}},
		{"K11,F5", "queue.purge", "", "", "^q", func(n names) wire.Method { return &wire.QueuePurge{Queue: n.q} }},
		{"K11,H1", "basic.consume", "", "", "^q", func(n names) wire.Method {
			return &wire.BasicConsume{Queue: n.q, ConsumerTag: "tag"}
		}},
		{"K11,H16", "basic.get", "", "", "^q", func(n names) wire.Method { return &wire.BasicGet{Queue: n.q} }},
	} {
		list = append(list, Scenario{Name: c.rows + "/" + c.what + " and the permissions it needs", Upgrade: accesses(map[string]string{"y": "write"}), Run: func(s *S) {
			ch := s.Connect().Channel()
			n := names{ch.Queue("q", nil), ch.Exchange("x", "direct", nil), ch.Exchange("y", "direct", nil)}
			s.Name("new" + n.x)
			const all = ".*"
			without := func(need string) string {
				if need == "" {
					return all
				}
				return "^nothing$"
			}
			if c.configure != "" {
				as(s, "no-configure", without(c.configure), all, all).Do(c.do(n))
			}
			if c.write != "" {
				as(s, "no-write", all, without(c.write), all).Do(c.do(n))
			}
			if c.read != "" {
				as(s, "no-read", all, all, without(c.read)).Do(c.do(n))
			}
			as(s, "just", c.configure, c.write, c.read).Do(c.do(n))
		}})
	}
	list = append(list, Scenario{Name: "K11,G1/basic.publish and the permissions it needs", Run: func(s *S) {
		ch := s.Connect().Channel()
		x := ch.Exchange("x", "direct", nil)
		refused := as(s, "no-write", ".*", "", ".*")
		refused.Publish(x, "k", P{}, "hello")
		refused.Expect()
		may := as(s, "just", "", "^x", "")
		may.Confirm()
		may.Publish(x, "k", P{}, "hello")
		may.Confirms(1)
	}})
	return list
}

// accessSource is where accesses gets its words from.
const accessSource = "rabbit_access_control.erl, check_resource_access/4 and check_topic_access/4 (main 5b09e55)"

// accesses puts the permission that lacks before "access to", as 4.x does: by
// the method, and by what a name is short of where a method needs several.
func accesses(names map[string]string) func(string) string {
	methods := map[string]string{
		"(40,10)": "configure", "(40,20)": "configure", "(50,10)": "configure", "(50,40)": "configure",
		"(60,40)": "write", "(50,30)": "read", "(60,20)": "read", "(60,70)": "read",
	}
	return func(line string) string {
		before, after, ok := strings.Cut(line, "ACCESS_REFUSED - access to ")
		if !ok {
			return line
		}
		kind, rest, _ := strings.Cut(after, " '")
		name, _, _ := strings.Cut(rest, "'")
		access := methods[line[strings.LastIndex(line, "("):]]
		switch of, told := names[name]; {
		case told:
			access = of
		case access == "" && kind == "queue": // of a binding
			access = "write"
		case access == "":
			access = "read"
		}
		return before + "ACCESS_REFUSED - " + access + " access to " + after
	}
}

// status makes a request whose answer, if it is an error, is told in each
// broker's own words.
func status(s *S, method, path string, body any) {
	var r Reply
	s.Silently(func() { r = s.HTTP(method, path, body) })
	s.Record("%s %s -> %d", method, path, r.Status)
}

// as is a channel of a new user.
func as(s *S, user, configure, write, read string) *Channel {
	return s.Connect(As(s.User(user, "", configure, write, read), "secret")).Channel()
}

// anyPermission is where the passive declares of 4.x are.
const anyPermission = "rabbit_channel.erl, check_any_resource_access_permitted/3 (main 5b09e55)"

// passiveDeclares are D5 and E10: any permission is enough.
func passiveDeclares() (list []Scenario) {
	for _, c := range []struct{ what, configure, write, read string }{
		{"configure", ".*", "", ""}, {"write", "", ".*", ""}, {"read", "", "", ".*"}, {"no", "", "", ""},
	} {
		sc := Scenario{Name: fmt.Sprintf("D5,E10,K11/passive declares with %s permission", c.what), Run: func(s *S) {
			ch := s.Connect().Channel()
			q, x := ch.Queue("q", nil), ch.Exchange("x", "direct", nil)
			u := s.Connect(As(s.User("u", "", c.configure, c.write, c.read), "secret"))
			u.Channel().Do(&wire.QueueDeclare{Queue: q, Passive: true})
			u.Channel().Do(&wire.ExchangeDeclare{Exchange: x, Passive: true})
			u.Channel().Do(&wire.QueueDeclare{Queue: s.Name("nobody"), Passive: true})
			u.Channel().Do(&wire.ExchangeDeclare{Exchange: s.Name("nobody"), Passive: true})
		}}
		if c.what == "no" {
			sc.Source, sc.Delta = anyPermission, `
			- c2.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			+ c2.1 < channel.close 403 "ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user 'u'" (50,10)
			- c2.2 < exchange.declare-ok
			+ c2.2 < channel.close 403 "ACCESS_REFUSED - configure access to exchange 'x' in vhost '/' refused for user 'u'" (40,10)
			- c2.3 < channel.close 404 "NOT_FOUND - no queue 'nobody' in vhost '/'" (50,10)
			+ c2.3 < channel.close 403 "ACCESS_REFUSED - configure access to queue 'nobody' in vhost '/' refused for user 'u'" (50,10)
			- c2.4 < channel.close 404 "NOT_FOUND - no exchange 'nobody' in vhost '/'" (40,10)
			+ c2.4 < channel.close 403 "ACCESS_REFUSED - configure access to exchange 'nobody' in vhost '/' refused for user 'u'" (40,10)`
		}
		list = append(list, sc)
	}
	return list
}

// topicPermissions is K12.
func topicPermissions() []Scenario {
	permit := func(s *S, user, exchange, write, read string) {
		s.HTTP("PUT", "/api/topic-permissions/%2F/"+user, T{"exchange": exchange, "write": write, "read": read})
	}
	return []Scenario{
		{Name: "K12/publishing to a topic", Run: func(s *S) {
			x := s.Connect().Channel().Exchange("x", "topic", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, `^a\.`, ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish(x, "a.b", P{}, "hello")
			ch.Confirms(1)
			ch.Publish(x, "b.a", P{}, "hello")
			ch.Expect()
		}},
		{Name: "K12/binding to a topic", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, q := ch.Exchange("x", "topic", nil), ch.Queue("q", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, ".*", `^a\.`)
			c := s.Connect(As(u, "secret"))
			c.Channel().Bind(q, x, "a.*", nil)
			c.Channel().Bind(q, x, "#", nil)
			c.Channel().Do(&wire.QueueUnbind{Queue: q, Exchange: x, RoutingKey: "#"})
		}},
		{Name: "K12,D11/binding an exchange to a topic", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, y := ch.Exchange("x", "topic", nil), ch.Exchange("y", "fanout", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, ".*", `^a\.`)
			c := s.Connect(As(u, "secret"))
			c.Channel().Do(&wire.ExchangeBind{Source: x, Destination: y, RoutingKey: "a.b"})
			c.Channel().Do(&wire.ExchangeBind{Source: x, Destination: y, RoutingKey: "b"})
		}},
		{Name: "K12/variables", Run: func(s *S) {
			x := s.Connect().Channel().Exchange("x", "topic", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, `^{username}\.{vhost}\.`, ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish(x, u+"./.news", P{}, "hello")
			ch.Confirms(1)
			ch.Publish(x, "guest./.news", P{}, "hello")
			ch.Expect()
		}},
		{Name: "K12/CC is looked at", Source: "rabbit_channel.erl, check_write_permitted_on_topics/4 (main 5b09e55)", Delta: `
			- c2.1 < basic.ack delivery-tag=1
			+ c2.1 < channel.close 403 "ACCESS_REFUSED - write access to topic 'b' in exchange 'x' in vhost '/' refused for user 'u'" (60,40)`, Run: func(s *S) {
			x := s.Connect().Channel().Exchange("x", "topic", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, `^a`, ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish(x, "a", P{Headers: T{"CC": []any{"b"}}}, "hello")
			ch.Expect()
		}},
		{Name: "K12/only where they are defined", Run: func(s *S) {
			ch := s.Connect().Channel()
			x, y := ch.Exchange("x", "topic", nil), ch.Exchange("y", "topic", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, "^nothing$", ".*")
			ch = s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish(y, "any", P{}, "hello")
			ch.Confirms(1)
		}},
		{Name: "K12/only of topic exchanges", Run: func(s *S) {
			x := s.Connect().Channel().Exchange("x", "direct", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, "^nothing$", "^nothing$")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Confirm()
			ch.Publish(x, "any", P{}, "hello")
			ch.Confirms(1)
		}},
		{Name: "K12/beside the exchange's own permission", Run: func(s *S) {
			x := s.Connect().Channel().Exchange("x", "topic", nil)
			u := s.User("u", "", ".*", "", ".*")
			permit(s, u, x, ".*", ".*")
			ch := s.Connect(As(u, "secret")).Channel()
			ch.Publish(x, "a", P{}, "hello")
			ch.Expect()
		}},
		{Name: "K12,K14/topic permissions are cleared", Run: func(s *S) {
			x := s.Connect().Channel().Exchange("x", "topic", nil)
			u := s.User("u", "", ".*", ".*", ".*")
			permit(s, u, x, "^nothing$", ".*")
			c := s.Connect(As(u, "secret"))
			ch := c.Channel()
			ch.Publish(x, "a", P{}, "hello")
			ch.Expect()
			s.HTTP("DELETE", "/api/topic-permissions/%2F/"+u, nil)
			ch = c.Channel()
			ch.Confirm()
			ch.Publish(x, "a", P{}, "hello")
			ch.Confirms(1)
		}},
		{Name: "K12/an expression that is none", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			status(s, "PUT", "/api/topic-permissions/%2F/"+u, T{"exchange": "amq.topic", "write": "(", "read": ".*"})
		}},
	}
}
