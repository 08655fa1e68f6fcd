package topology

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/warrenmq/warren/broker/policy"
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
	kindUpdateVHost
	kindSetVHostLimits
	kindSetPolicy
	kindClearPolicy
	kindDropVolatile
)

// EncodeCommand is the form of a command in the meta group's log: a version byte, a
// kind, the fields in order. Arguments must be a field table as Arguments says.
func EncodeCommand(c Command) []byte {
	w := &writer{buf: []byte{commandVersion}}
	switch c := c.(type) {
	case DeclareVHost:
		w.byte(kindDeclareVHost)
		w.vhost(&c.VHost)
		w.uint(c.Max)
	case UpdateVHost:
		w.byte(kindUpdateVHost)
		w.vhost(&c.VHost)
	case DeleteVHost:
		w.byte(kindDeleteVHost)
		w.string(c.Name)
	case SetVHostLimits:
		w.byte(kindSetVHostLimits)
		w.string(c.VHost)
		w.limits(c.Limits)
	case SetPolicy:
		w.byte(kindSetPolicy)
		w.string(c.VHost)
		w.bool(c.Operator)
		w.policy(&c.Policy)
	case ClearPolicy:
		w.byte(kindClearPolicy)
		w.string(c.VHost)
		w.bool(c.Operator)
		w.string(c.Name)
	case DeclareExchange:
		w.byte(kindDeclareExchange)
		w.string(c.Exchange.VHost)
		w.exchange(&c.Exchange)
		w.uint(c.Group)
		w.uint(c.Max)
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
		w.uint(c.Max)
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
	case DropVolatile:
		w.byte(kindDropVolatile)
		w.uint(c.Through)
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
		return DeclareVHost{VHost: r.vhost(), Max: r.uint(math.MaxUint64)}
	case kindUpdateVHost:
		return UpdateVHost{r.vhost()}
	case kindSetVHostLimits:
		return SetVHostLimits{VHost: r.string(), Limits: r.limits()}
	case kindSetPolicy:
		return SetPolicy{VHost: r.string(), Operator: r.bool(), Policy: r.policy()}
	case kindClearPolicy:
		return ClearPolicy{VHost: r.string(), Operator: r.bool(), Name: r.string()}
	case kindDropVolatile:
		return DropVolatile{Through: r.uint(math.MaxUint64)}
	case kindDeleteVHost:
		return DeleteVHost{Name: r.string()}
	case kindDeclareExchange:
		return DeclareExchange{Exchange: r.exchange(r.string()), Group: r.uint(math.MaxUint64), Max: r.uint(math.MaxUint64)}
	case kindDeleteExchange:
		return DeleteExchange{VHost: r.string(), Name: r.string(), IfUnused: r.bool()}
	case kindDeclareQueue:
		return DeclareQueue{Queue: r.queue(r.string()), ServerNamed: r.bool(), Max: r.uint(math.MaxUint64)}
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

func (w *writer) vhost(v *VHost) {
	w.string(v.Name)
	w.string(v.Description)
	w.uint(uint64(len(v.Tags)))
	for _, tag := range v.Tags {
		w.string(tag)
	}
	w.string(v.DefaultQueueType)
	w.bool(v.Protected)
}

func (r *reader) vhost() VHost {
	v := VHost{Name: r.string(), Description: r.string()}
	for range r.count() {
		v.Tags = append(v.Tags, r.string())
	}
	v.DefaultQueueType, v.Protected = r.string(), r.bool()
	return v
}

func (w *writer) limits(limits map[string]int64) {
	w.uint(uint64(len(limits)))
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		w.string(name)
		w.fixed(uint64(limits[name]))
	}
}

func (r *reader) limits() map[string]int64 {
	n := r.count()
	if n == 0 {
		return nil
	}
	limits := make(map[string]int64, min(n, 64))
	for range n {
		name := r.string()
		if _, twice := limits[name]; twice {
			r.fail("limit twice")
		}
		limits[name] = int64(r.fixed())
		if r.err != nil {
			return nil
		}
	}
	return limits
}

func (w *writer) policy(p *policy.Policy) {
	w.string(p.Name)
	w.string(p.Pattern)
	w.string(string(p.ApplyTo))
	w.fixed(uint64(p.Priority))
	w.table(p.Definition)
}

func (r *reader) policy() policy.Policy {
	return policy.Policy{
		Name: r.string(), Pattern: r.string(), ApplyTo: policy.ApplyTo(r.string()), Priority: int64(r.fixed()),
		Definition: r.table(0),
	}
}

// The vhost of what follows is written once, before it, by whoever writes it.

func (w *writer) exchange(x *Exchange) {
	w.string(x.Name)
	w.string(x.Type)
	w.bool(x.Durable)
	w.bool(x.AutoDelete)
	w.bool(x.Internal)
	w.table(x.Arguments)
	w.uint(x.Serial)
	w.uint(uint64(x.DelayQueue))
	w.uint(uint64(x.HistoryQueue))
}

func (r *reader) exchange(vhost string) Exchange {
	return Exchange{
		VHost: vhost, Name: r.string(), Type: r.string(),
		Durable: r.bool(), AutoDelete: r.bool(), Internal: r.bool(),
		Arguments: r.table(0), Serial: r.uint(math.MaxUint64),
		DelayQueue: r.id(), HistoryQueue: r.id(),
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
	w.string(q.Delays)
	w.string(q.Keeps)
}

func (r *reader) queue(vhost string) Queue {
	return Queue{
		VHost: vhost, ID: r.id(), Name: r.string(),
		Durable: r.bool(), Exclusive: r.bool(), AutoDelete: r.bool(),
		Arguments: r.table(0),
		Group:     r.uint(math.MaxUint64),
		Home:      r.string(), HomeEpoch: r.uint(math.MaxUint64),
		Owner:  r.string(),
		Delays: r.string(), Keeps: r.string(),
	}
}

func (w *writer) binding(b *Binding) {
	w.string(b.Source)
	w.bool(b.ToExchange)
	w.string(b.Destination)
	w.string(b.RoutingKey)
	w.table(b.Arguments)
	w.uint(b.Serial)
}

func (r *reader) binding(vhost string) Binding {
	return Binding{
		VHost: vhost, Source: r.string(),
		ToExchange: r.bool(), Destination: r.string(),
		RoutingKey: r.string(), Arguments: r.table(0), Serial: r.uint(math.MaxUint64),
	}
}
