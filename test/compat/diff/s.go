package diff

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/warrenmq/warren/broker/wire"
)

// P and T are what messages carry.
type (
	P = wire.Properties
	T = wire.Table
)

// answerLimit is how long a broker may take to answer.
const answerLimit = 15 * time.Second

// S is one run of a scenario against one broker: it makes connections and
// keeps the transcript. It is for one goroutine.
type S struct {
	ctx    context.Context
	broker *Broker
	kind   Kind
	suffix string // makes names unique; stripped from the transcript
	first  int    // the node of the first connection

	counters bool // see Scenario

	lines    []string
	seen     map[string]string // generated names and what the transcript calls them
	conns    []*Conn
	named    int // the connections that are in the transcript
	names    []string
	cleanups []func()
	side     *Conn // of Put and the cleanup; not in the transcript
	sideCh   *Channel
}

// stoppedMark begins the last line of a run that ended early.
const stoppedMark = "stopped: "

// stopped is the panic by which a run ends early.
type stopped struct{}

// stop ends the run; the transcript says why.
func (s *S) stop(format string, args ...any) {
	s.Record("%s%s", stoppedMark, fmt.Sprintf(format, args...))
	panic(stopped{})
}

// Record adds a line to the transcript, with generated names made symbolic.
func (s *S) Record(format string, args ...any) {
	line := format
	if len(args) > 0 {
		line = fmt.Sprintf(format, args...)
	}
	s.lines = append(s.lines, s.symbolic(line))
}

// Name is a name that no other run uses; the transcript shows what was asked
// for. Queues and exchanges of such names are deleted after the run.
func (s *S) Name(what string) string {
	name := what + s.suffix
	s.names = append(s.names, name)
	return name
}

// Kind is the kind of queue of this run.
func (s *S) Kind() Kind { return s.kind }

// OnWarren says which broker this is: for preparations that differ, not for
// what is observed.
func (s *S) OnWarren() bool { return s.broker.warren }

// Context ends with the run's time.
func (s *S) Context() context.Context { return s.ctx }

// Cleanup is called after the run, latest first. What it does is not recorded.
func (s *S) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Pause lets time pass, for what only time brings: a TTL, a heartbeat.
func (s *S) Pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.stop("out of time")
	}
}

// Eventually asks again until it is so. Of what is done in it, nothing is
// recorded but that it came true.
func (s *S) Eventually(what string, so func() bool) {
	mark := len(s.lines)
	defer func() {
		if r := recover(); r != nil { // of a try that was stopped only the reason stays
			why := s.lines[len(s.lines)-1]
			if s.ctx.Err() != nil {
				why = s.symbolic(stoppedMark + "never so: " + what)
			}
			s.lines = append(s.lines[:mark], why)
			panic(r)
		}
	}()
	for named := s.named; ; {
		s.named = named // of all tries only the last one's connections count
		ok := so()
		s.lines = s.lines[:mark]
		if ok {
			s.Record("eventually %s", what)
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.ctx.Done():
			s.stop("never so: %s", what)
		}
	}
}

// Silently does something and records nothing of it.
func (s *S) Silently(do func()) {
	mark := len(s.lines)
	do()
	s.lines = s.lines[:mark]
}

// Put publishes bodies to a queue through a connection of its own and waits
// for their confirms.
func (s *S) Put(queue string, bodies ...string) {
	for _, b := range bodies {
		s.PutWith("", queue, P{}, b)
	}
}

// PutWith publishes one message as Put does, through any exchange.
func (s *S) PutWith(exchange, key string, p P, body string) {
	line := fmt.Sprintf("put exchange=%s key=%s%s %s", text(exchange), text(key), properties(p), bodyText([]byte(body)))
	s.Silently(func() {
		ch := s.aside()
		ch.Publish(exchange, key, p, body)
		switch answers := ch.Confirms(1); {
		case answers == nil:
			line += " closed: " + s.lines[len(s.lines)-1]
		case answers[0] != "ack":
			line += " refused"
		}
	})
	s.Record("%s", line)
}

// aside is a confirming channel that the scenario does not see.
func (s *S) aside() *Channel {
	if s.sideCh == nil {
		s.side = s.dial("side", s.first+len(s.broker.Addrs)-1, newLogin(nil))
		s.side.handshake()
		s.sideCh = s.side.Channel()
		s.sideCh.Do(&wire.ConfirmSelect{})
	}
	return s.sideCh
}

// Gone waits until a queue is no more.
func (s *S) Gone(queue string) {
	s.Eventually(fmt.Sprintf("no queue %s", queue), func() bool {
		ch := s.sideChannel()
		it := ch.Do(&wire.QueueDeclare{Queue: queue, Passive: true})
		if c, ok := it.Method.(*wire.ChannelClose); ok {
			return c.ReplyCode == wire.NotFound
		}
		ch.Do(&wire.ChannelClose{ReplyCode: 200})
		return false
	})
}

// Queue waits until a queue has this many ready messages and consumers; -1 is
// any. It asks aside, which an exclusive queue refuses: see Channel.Await.
func (s *S) Queue(queue string, messages, consumers int) {
	s.Eventually(fmt.Sprintf("queue %s has %s ready, %s consumers", queue, count(messages), count(consumers)), func() bool {
		ch := s.sideChannel()
		defer ch.conn.forget(ch)
		return ch.has(queue, messages, consumers)
	})
}

func (s *S) sideChannel() *Channel {
	s.aside()
	return s.side.Channel()
}

func count(n int) string {
	if n < 0 {
		return "any"
	}
	return fmt.Sprint(n)
}

// end closes everything and deletes what the run named.
func (s *S) end(ctx context.Context) {
	s.ctx = ctx
	quietly := func(f func()) { s.guard(func() error { f(); return nil }) }
	s.hangUp()
	s.side, s.sideCh = nil, nil // a program may have closed them
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		quietly(s.cleanups[i])
	}
	if len(s.names) > 0 {
		quietly(s.deleteNames)
	}
	s.hangUp() // cleanups connect, too
	for _, c := range s.conns {
		<-c.read
	}
}

func (s *S) hangUp() {
	for _, c := range s.conns {
		c.net.Close()
	}
}

// deleteNames deletes the queues and exchanges that there may be. What was
// exclusive is on its way out and may be refused.
func (s *S) deleteNames() {
	ch := s.aside()
	for _, n := range s.names {
		for _, m := range []wire.Method{&wire.QueueDelete{Queue: n}, &wire.ExchangeDelete{Exchange: n}} {
			if ch.Do(m); ch.closed {
				ch = s.sideChannel()
			}
		}
	}
}

// guard is for what is not part of a program: a stop becomes an error.
func (s *S) guard(do func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stopped:
			err = errors.New(s.lines[len(s.lines)-1])
		default:
			panic(r)
		}
	}()
	return do()
}

// generated is what brokers invent.
var generated = []struct{ prefix, chars string }{
	{"amq.gen-", urlSafe}, {"amq.ctag-", urlSafe}, {"amq.rabbitmq.reply-to.", urlSafe + ".=+/"},
}

const urlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// symbolic replaces what differs from run to run.
func (s *S) symbolic(line string) string {
	line = strings.ReplaceAll(line, s.suffix, "")
	for _, g := range generated {
		var out strings.Builder
		for {
			i := strings.Index(line, g.prefix)
			if i < 0 {
				break
			}
			rest := line[i+len(g.prefix):]
			n := 0
			for n < len(rest) && strings.IndexByte(g.chars, rest[n]) >= 0 {
				n++
			}
			before, after := line[:i], rest[n:]
			if strings.HasSuffix(before, `"`) && strings.HasPrefix(after, `"`) { // quoted for one broker's choice of characters
				before, after = before[:i-1], after[1:]
			}
			out.WriteString(before)
			out.WriteString(s.symbol(g.prefix, rest[:n]))
			line = after
		}
		line = out.String() + line
	}
	return line
}

// symbol numbers generated names by their first appearance.
func (s *S) symbol(prefix, tail string) string {
	if len(tail) < 16 { // a client's own choice of a name that looks like one
		return prefix + tail
	}
	if sym, ok := s.seen[prefix+tail]; ok {
		return sym
	}
	n := 1
	for k := range s.seen {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	sym := fmt.Sprintf("%s<%d>", prefix, n)
	s.seen[prefix+tail] = sym
	return sym
}
