package topology

import (
	"fmt"
	"math"

	"github.com/warrenmq/warren/broker/queue"
)

// commandVersion is the first byte of an encoded command. A decoder refuses versions it does not know.
const commandVersion = 1

// The second byte says which command it is. Numbers are never used again.
const (
	kindDeclareVHost = iota + 1
	kindDeleteVHost
	kindDeclareExchange
	kindDeleteExchange
	kindDeclareQueue
	kindDeleteQueue
	kindDeleteOwned
	kindDropTransient
	kindBind
	kindUnbind
)

// EncodeCommand is the form of a command in the meta group's log: a version byte, a
// kind, the fields in order. Arguments must be a field table as Arguments says.
func EncodeCommand(c Command) []byte {
	w := &writer{buf: []byte{commandVersion}}
	switch c := c.(type) {
	case DeclareVHost:
		w.byte(kindDeclareVHost)
		w.string(c.VHost.Name)
	case DeleteVHost:
		w.byte(kindDeleteVHost)
		w.string(c.Name)
	case DeclareExchange:
		w.byte(kindDeclareExchange)
		w.string(c.Exchange.VHost)
		w.exchange(&c.Exchange)
		w.uint(c.Group)
	case DeleteExchange:
		w.byte(kindDeleteExchange)
		w.string(c.VHost)
		w.string(c.Name)
		w.bool(c.IfUnused)
	case DeclareQueue:
		w.byte(kindDeclareQueue)
		w.string(c.Queue.VHost)
		w.queue(&c.Queue)
		w.bool(c.ServerNamed)
	case DeleteQueue:
		w.byte(kindDeleteQueue)
		w.string(c.VHost)
		w.string(c.Name)
		w.uint(uint64(c.ID))
		w.string(c.Connection)
	case DeleteOwned:
		w.byte(kindDeleteOwned)
		w.string(c.Owner)
	case DropTransient:
		w.byte(kindDropTransient)
		w.string(c.Home)
		w.uint(c.BeforeEpoch)
	case Bind:
		w.byte(kindBind)
		w.string(c.Binding.VHost)
		w.binding(&c.Binding)
		w.string(c.Connection)
	case Unbind:
		w.byte(kindUnbind)
		w.string(c.Binding.VHost)
		w.binding(&c.Binding)
		w.string(c.Connection)
	default:
		panic(fmt.Sprintf("topology: command of unknown kind %T", c))
	}
	return w.buf
}

// DecodeCommand undoes EncodeCommand. Byte array arguments point into b.
func DecodeCommand(b []byte) (Command, error) {
	r := &reader{buf: b}
	if v := r.byte(); r.err == nil && v != commandVersion {
		return nil, fmt.Errorf("topology: command of version %d, this node knows %d", v, commandVersion)
	}
	c := r.command()
	if err := r.end(); err != nil {
		return nil, err
	}
	return c, nil
}

func (r *reader) command() Command {
	switch kind := r.byte(); kind {
	case kindDeclareVHost:
		return DeclareVHost{VHost{Name: r.string()}}
	case kindDeleteVHost:
		return DeleteVHost{Name: r.string()}
	case kindDeclareExchange:
		return DeclareExchange{Exchange: r.exchange(r.string()), Group: r.uint(math.MaxUint64)}
	case kindDeleteExchange:
		return DeleteExchange{VHost: r.string(), Name: r.string(), IfUnused: r.bool()}
	case kindDeclareQueue:
		return DeclareQueue{Queue: r.queue(r.string()), ServerNamed: r.bool()}
	case kindDeleteQueue:
		return DeleteQueue{VHost: r.string(), Name: r.string(), ID: r.id(), Connection: r.string()}
	case kindDeleteOwned:
		return DeleteOwned{Owner: r.string()}
	case kindDropTransient:
		return DropTransient{Home: r.string(), BeforeEpoch: r.uint(math.MaxUint64)}
	case kindBind:
		return Bind{Binding: r.binding(r.string()), Connection: r.string()}
	case kindUnbind:
		return Unbind{Binding: r.binding(r.string()), Connection: r.string()}
	default:
		r.fail("unknown kind of command")
		return nil
	}
}

func (r *reader) id() queue.ID { return queue.ID(r.uint(math.MaxUint64)) }

// The vhost of what follows is written once, before it, by whoever writes it.

func (w *writer) exchange(x *Exchange) {
	w.string(x.Name)
	w.string(x.Type)
	w.bool(x.Durable)
	w.bool(x.AutoDelete)
	w.bool(x.Internal)
	w.table(x.Arguments)
}

func (r *reader) exchange(vhost string) Exchange {
	return Exchange{
		VHost: vhost, Name: r.string(), Type: r.string(),
		Durable: r.bool(), AutoDelete: r.bool(), Internal: r.bool(),
		Arguments: r.table(0),
	}
}

func (w *writer) queue(q *Queue) {
	w.uint(uint64(q.ID))
	w.string(q.Name)
	w.bool(q.Durable)
	w.bool(q.Exclusive)
	w.bool(q.AutoDelete)
	w.table(q.Arguments)
	w.uint(q.Group)
	w.string(q.Home)
	w.uint(q.HomeEpoch)
	w.string(q.Owner)
}

func (r *reader) queue(vhost string) Queue {
	return Queue{
		VHost: vhost, ID: r.id(), Name: r.string(),
		Durable: r.bool(), Exclusive: r.bool(), AutoDelete: r.bool(),
		Arguments: r.table(0),
		Group:     r.uint(math.MaxUint64),
		Home:      r.string(), HomeEpoch: r.uint(math.MaxUint64),
		Owner: r.string(),
	}
}

func (w *writer) binding(b *Binding) {
	w.string(b.Source)
	w.bool(b.ToExchange)
	w.string(b.Destination)
	w.string(b.RoutingKey)
	w.table(b.Arguments)
}

func (r *reader) binding(vhost string) Binding {
	return Binding{
		VHost: vhost, Source: r.string(),
		ToExchange: r.bool(), Destination: r.string(),
		RoutingKey: r.string(), Arguments: r.table(0),
	}
}
