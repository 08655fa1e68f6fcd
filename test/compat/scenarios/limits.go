package scenarios

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"

	. "github.com/warrenmq/warren/test/compat/diff"
)

// limits is K6 to K8, E36, L3 and H11: what is bounded, in number and in time.
func limits() []Scenario {
	return slices.Concat(consumerTimeouts(), limitsOfVHosts(), limitsOfUsers(), vhostsThatGo())
}

// limitsOfVHosts is K7: limits of virtual hosts.
func limitsOfVHosts() []Scenario {
	return []Scenario{
		{Name: "K7,E36,L3/a limit of queues is raised", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			c := s.Connect(VHost(v))
			limit := "/api/vhost-limits/" + v + "/max-queues"
			s.HTTP("PUT", limit, T{"value": 1})
			c.Channel().Declare(wire.QueueDeclare{Queue: "one"})
			c.Channel().Declare(wire.QueueDeclare{Queue: "two"})
			s.HTTP("PUT", limit, T{"value": 2})
			c.Channel().Declare(wire.QueueDeclare{Queue: "two"})
			c.Channel().Declare(wire.QueueDeclare{Queue: "three"})
			s.HTTP("DELETE", limit, nil)
			c.Channel().Declare(wire.QueueDeclare{Queue: "three"})
		}},
		{Name: "K7,E36,L3/a limit of queues holds for every kind", Run: func(s *S) {
			v := s.VHost("v")
			c := s.Connect(VHost(v))
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 0})
			c.Channel().Do(&wire.QueueDeclare{Queue: "durable", Durable: true})
			c.Channel().Do(&wire.QueueDeclare{Queue: "transient"})
			c.Channel().Do(&wire.QueueDeclare{Queue: "exclusive", Exclusive: true})
			c.Channel().Do(&wire.QueueDeclare{Queue: "there", Passive: true})
		}},
		{Name: "K7,E36/room for a queue when another goes", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			c := s.Connect(VHost(v))
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 1})
			c.Channel().Declare(wire.QueueDeclare{Queue: "one"})
			c.Channel().Do(&wire.QueueDelete{Queue: "one"})
			c.Channel().Declare(wire.QueueDeclare{Queue: "two"})
		}},
		{Name: "K7,E36/fewer queues allowed than there are", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			c := s.Connect(VHost(v))
			ch := c.Channel()
			ch.Declare(wire.QueueDeclare{Queue: "one"})
			ch.Declare(wire.QueueDeclare{Queue: "two"})
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 1})
			ch.Declare(wire.QueueDeclare{Queue: "two"})
			ch.Declare(wire.QueueDeclare{Queue: "three"})
		}},
		{Name: "K7,E36/no limit", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": -1})
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-connections", T{"value": -1})
			s.Connect(VHost(v)).Channel().Declare(wire.QueueDeclare{Queue: "one"})
		}},
		{Name: "K7,B16/a limit of connections leaves those that are there", Run: func(s *S) {
			v := s.VHost("v")
			ch := s.Connect(VHost(v)).Channel()
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-connections", T{"value": 0})
			ch.Do(&wire.QueueDeclare{Queue: "one", Durable: true})
			s.Connect(VHost(v))
			s.HTTP("DELETE", "/api/vhost-limits/"+v+"/max-connections", nil)
			s.Connect(VHost(v))
		}},
		{Name: "K7/what is told of limits", Run: func(s *S) {
			v := s.VHost("v")
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": 5})
			s.HTTP("PUT", "/api/vhost-limits/"+v+"/max-connections", T{"value": 7})
			if list, ok := s.HTTP("GET", "/api/vhost-limits/"+v, nil).JSON.([]any); ok && len(list) == 1 {
				s.Record("%v", list[0])
			}
		}},
		{Name: "K7/a limit that is none", Run: func(s *S) {
			v := s.VHost("v")
			status(s, "PUT", "/api/vhost-limits/"+v+"/max-cats", T{"value": 5})
			status(s, "PUT", "/api/vhost-limits/"+v+"/max-queues", T{"value": "many"})
		}},
	}
}

// limitsOfUsers is K8: limits of users.
func limitsOfUsers() []Scenario {
	return []Scenario{
		{Name: "K8,B16/a user's connections", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/user-limits/"+u+"/max-connections", T{"value": 1})
			first := s.Connect(As(u, "secret"))
			s.Eventually("the next is refused", func() bool { return s.Connect(As(u, "secret")).Over() })
			s.Connect(As(u, "secret"))
			first.Cut()
			s.Eventually("another may", func() bool { return !s.Connect(As(u, "secret")).Over() })
		}},
		{Name: "K8,B16/a user's connections at all nodes", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/user-limits/"+u+"/max-connections", T{"value": 2})
			s.Connect(As(u, "secret"), Node(1))
			s.Connect(As(u, "secret"), Node(2))
			s.Eventually("the third is refused", func() bool { return s.Connect(As(u, "secret"), Node(3)).Over() })
		}},
		{Name: "K8,B17/a user's channels", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			s.HTTP("PUT", "/api/user-limits/"+u+"/max-channels", T{"value": 5})
			c := s.Connect(As(u, "secret"))
			for range 5 {
				c.Channel()
			}
			s.HTTP("DELETE", "/api/user-limits/"+u+"/max-channels", nil)
			s.Agreed("/api/user-limits/"+u, "a user without limits", func(r Reply) bool {
				limits, _ := r.JSON.([]any)
				return r.Status == http.StatusOK && len(limits) == 0
			})
			c.Channel().Do(&wire.QueueDeclare{Queue: s.Name("q"), Exclusive: true})
		}},
		{Name: "K8/a user's limits that are none", Run: func(s *S) {
			u := s.User("u", "", ".*", ".*", ".*")
			status(s, "PUT", "/api/user-limits/"+u+"/max-cats", T{"value": 5})
			status(s, "PUT", "/api/user-limits/"+u+"/max-channels", T{"value": "many"})
		}},
	}
}

// vhostsThatGo is K6: virtual hosts that come and go.
func vhostsThatGo() []Scenario {
	return []Scenario{
		{Name: "K6,B15/a virtual host comes and goes", Upgrade: func(line string) string {
			return strings.Replace(line, "vhost 'v' is down", "vhost 'v' is deleted", 1)
		}, Source: "rabbit_connection_tracking.erl and rabbit_reader.erl (3.10): is deleted, or is down, whichever the connection hears of first", Run: func(s *S) {
			v := s.VHost("v")
			c := s.Connect(VHost(v))
			c.Channel().Do(&wire.QueueDeclare{Queue: "q", Durable: true})
			s.HTTP("DELETE", "/api/vhosts/"+v, nil)
			c.Within(8 * time.Second)
			s.Connect(VHost(v))
		}},
		{Name: "K6/a virtual host that comes again is empty", Run: func(s *S) {
			v := s.VHost("v")
			ch := s.Connect(VHost(v)).Channel()
			ch.Do(&wire.QueueDeclare{Queue: "q", Durable: true})
			ch.Do(&wire.ExchangeDeclare{Exchange: "x", Type: "direct", Durable: true})
			ch.Conn().Close()
			s.HTTP("DELETE", "/api/vhosts/"+v, nil)
			s.HTTP("PUT", "/api/vhosts/"+v, nil)
			s.Permit("guest", v, ".*", ".*", ".*")
			c := s.Connect(VHost(v))
			c.Channel().Do(&wire.QueueDeclare{Queue: "q", Passive: true})
			c.Channel().Do(&wire.ExchangeDeclare{Exchange: "x", Passive: true})
			c.Channel().Do(&wire.ExchangeDeclare{Exchange: "amq.topic", Passive: true})
		}},
		{Name: "K6/queues of one name in two virtual hosts", Kinds: Everywhere(), Run: func(s *S) {
			v := s.VHost("v")
			here, there := s.Connect().Channel(), s.Connect(VHost(v)).Channel()
			q := here.Queue("q", nil)
			there.Queue("q", nil)
			s.Put(q, "here")
			here.Await(q, 1, 0)
			there.Get(q)
			here.Get(q)
		}},
		{Name: "K6/what is told of a virtual host", Run: func(s *S) {
			v := s.VHost("v")
			s.HTTP("PUT", "/api/vhosts/"+v, T{"description": "of ours", "tags": "a,b"})
			r := s.HTTP("GET", "/api/vhosts/"+v, nil)
			s.Record("%v: %v, %v", r.Field("name"), r.Field("description"), r.Field("tags"))
			s.HTTP("DELETE", "/api/vhosts/"+v, nil)
			s.HTTP("GET", "/api/vhosts/"+v, nil)
			s.HTTP("DELETE", "/api/vhosts/"+v, nil)
		}},
	}
}

// timeoutSource is where consumer timeouts of 4.3 are.
const timeoutSource = "rabbit_channel.erl, handle_consumer_timed_out/5, and rabbit_fifo.erl (main 5b09e55)"

// consumerTimeouts is H7, H11 and E31. RabbitMQ 3.10 looks once in a minute.
func consumerTimeouts() []Scenario {
	return []Scenario{
		{Name: "H11,H7/a consumer that is too slow is cancelled, and its message goes back", Kinds: Everywhere(), Differs: "H11", Source: timeoutSource, Want: `
			c1 connects
			c1.1 > queue q
			c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			put exchange="" key=q "1"
			c2 connects
			c2.1 > basic.consume queue=q consumer-tag=tag arguments={x-consumer-timeout=I:500}
			c2.1 < basic.consume-ok consumer-tag=tag
			c2.1 < basic.deliver consumer-tag=tag delivery-tag=1 exchange="" routing-key=q "1"
			c2.1 < basic.cancel consumer-tag=tag no-wait
			eventually queue q has 1 ready, 0 consumers
			c1.1 > basic.get queue=q
			c1.1 < basic.get-ok delivery-tag=1 redelivered exchange="" routing-key=q message-count=0 "1"`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			slow := s.Connect().Channel()
			slow.Consume(q, "tag", T{"x-consumer-timeout": int32(500)})
			slow.ExpectN(2)
			ch.Await(q, 1, 0)
			ch.Get(q)
		}},
		{Name: "H11,B4/a slow consumer that cannot be cancelled loses its channel", Kinds: Everywhere(), Differs: "H11", Source: timeoutSource, Want: `
			c1 connects
			c1.1 > queue q
			c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			put exchange="" key=q "1"
			c2 connects without consumer_cancel_notify
			c2.1 > basic.consume queue=q consumer-tag=tag arguments={x-consumer-timeout=I:500}
			c2.1 < basic.consume-ok consumer-tag=tag
			c2.1 < basic.deliver consumer-tag=tag delivery-tag=1 exchange="" routing-key=q "1"
			c2.1 < channel.close 406 "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 500 ms. This timeout value can be configured, see consumers doc guide to learn more" (0,0)
			eventually queue q has 1 ready, 0 consumers`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Put(q, "1")
			slow := s.Connect(Without("consumer_cancel_notify")).Channel()
			slow.Consume(q, "tag", T{"x-consumer-timeout": int32(500)})
			slow.ExpectN(2)
			ch.Await(q, 1, 0)
		}},
		{Name: "H11,E31/a queue's consumer timeout", Kinds: Everywhere(), Differs: "H11", Source: timeoutSource, Want: `
			c1 connects
			c1.1 > queue q arguments={x-consumer-timeout=I:500}
			c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			put exchange="" key=q "1"
			c1.1 > basic.consume queue=q consumer-tag=tag
			c1.1 < basic.consume-ok consumer-tag=tag
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=1 exchange="" routing-key=q "1"
			c1.1 < basic.cancel consumer-tag=tag no-wait
			eventually queue q has 1 ready, 0 consumers`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", T{"x-consumer-timeout": int32(500)})
			s.Put(q, "1")
			ch.Consume(q, "tag", nil)
			ch.ExpectN(2)
			ch.Await(q, 1, 0)
		}},
		{Name: "H11,K4/a policy's consumer timeout", Kinds: Everywhere(), Differs: "H11", Source: timeoutSource, Want: `
			c1 connects
			c1.1 > queue q
			c1.1 < queue.declare-ok queue=q message-count=0 consumer-count=0
			policies for queues q: {"consumer-timeout":500}
			put exchange="" key=q "1"
			c1.1 > basic.consume queue=q consumer-tag=tag
			c1.1 < basic.consume-ok consumer-tag=tag
			c1.1 < basic.deliver consumer-tag=tag delivery-tag=1 exchange="" routing-key=q "1"
			c1.1 < basic.cancel consumer-tag=tag no-wait
			eventually queue q has 1 ready, 0 consumers`, Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			s.Policy(q, "queues", 0, T{"consumer-timeout": 500})
			applied(s, q)
			s.Put(q, "1")
			ch.Consume(q, "tag", nil)
			ch.ExpectN(2)
			ch.Await(q, 1, 0)
		}},
		{Name: "H11/a consumer that acknowledges in time goes on", Kinds: Everywhere(), Run: func(s *S) {
			ch := s.Connect().Channel()
			q := ch.Queue("q", nil)
			ch.Consume(q, "tag", T{"x-consumer-timeout": int32(60000)})
			for _, b := range []string{"1", "2", "3"} {
				s.Put(q, b)
				ch.Ack(ch.Expect().Tag())
			}
			ch.Quiet(q)
		}},
	}
}
