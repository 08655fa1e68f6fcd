package connection

import (
	"context"
	"errors"

	"github.com/warrenmq/warren/broker/auth"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

func (ch *channel) exchangeMethod(ctx context.Context, m wire.Method) error {
	switch m := m.(type) {
	case *wire.ExchangeDeclare:
		return ch.declareExchange(ctx, m)
	case *wire.ExchangeDelete:
		return ch.deleteExchange(ctx, m)
	case *wire.ExchangeBind:
		b := ch.exchangeBinding(m.Source, m.Destination, m.RoutingKey, m.Arguments)
		if err := ch.bind(ctx, b, topology.Bind{Binding: b, Connection: ch.c.id}); err != nil {
			return err
		}
		ch.answer(m.NoWait, &wire.ExchangeBindOk{})
	case *wire.ExchangeUnbind:
		b := ch.exchangeBinding(m.Source, m.Destination, m.RoutingKey, m.Arguments)
		if err := ch.bind(ctx, b, topology.Unbind{Binding: b, Connection: ch.c.id}); err != nil {
			return err
		}
		ch.answer(m.NoWait, &wire.ExchangeUnbindOk{})
	}
	return nil
}

func (ch *channel) exchangeBinding(source, destination, key string, args wire.Table) topology.Binding {
	return topology.Binding{
		VHost: ch.c.vhost, Source: topology.CleanName(source), Destination: topology.CleanName(destination),
		ToExchange: true, RoutingKey: key, Arguments: args,
	}
}

// declareExchange runs exchange.declare (D1 to D5, D9). One that is there already
// and equivalent costs no change of the definitions.
func (ch *channel) declareExchange(ctx context.Context, m *wire.ExchangeDeclare) error {
	x := topology.Exchange{
		VHost: ch.c.vhost, Name: topology.CleanName(m.Exchange), Type: m.Type,
		Durable: m.Durable, AutoDelete: m.AutoDelete, Internal: m.Internal, Arguments: m.Arguments,
	}
	if err := ch.declaredExchange(ctx, &x, m.Passive); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.ExchangeDeclareOk{})
	return nil
}

func (ch *channel) declaredExchange(ctx context.Context, x *topology.Exchange, passive bool) error {
	if passive {
		if x.Name != "" { // that one is refused in the definitions' words
			if err := ch.allowAny(true, x.Name); err != nil {
				return err
			}
		}
		return ch.surely(ctx, func(t *topology.Topology) error {
			_, err := t.FindExchange(ch.c.vhost, x.Name)
			return err
		})
	}
	if err := topology.CheckDeclared(x); err != nil {
		return err
	}
	if err := ch.allow(auth.Configure, true, x.Name); err != nil {
		return err
	}
	var old *topology.Exchange
	if err := ch.surely(ctx, func(t *topology.Topology) error {
		if old = t.Exchange(x.VHost, x.Name); old == nil {
			return nil
		}
		return topology.CheckExchangeEquivalent(old, x)
	}); err != nil || old != nil {
		return err
	}
	if err := topology.CheckNewExchange(x); err != nil {
		return err
	}
	if alternate, ok := x.AlternateExchange(); ok {
		if err := ch.allow(auth.Read, true, x.Name); err != nil {
			return err
		}
		if err := ch.allow(auth.Write, true, topology.CleanName(alternate)); err != nil {
			return err
		}
	}
	return ch.apply(ctx, topology.DeclareExchange{Exchange: *x})
}

// deleteExchange runs exchange.delete (D10).
func (ch *channel) deleteExchange(ctx context.Context, m *wire.ExchangeDelete) error {
	name := topology.CleanName(m.Exchange)
	if err := topology.CheckExchangeDeletion(ch.c.vhost, name); err != nil {
		return err
	}
	if err := ch.allow(auth.Configure, true, name); err != nil {
		return err
	}
	if err := ch.apply(ctx, topology.DeleteExchange{VHost: ch.c.vhost, Name: name, IfUnused: m.IfUnused}); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.ExchangeDeleteOk{})
	return nil
}

// bind binds or unbinds, by c, what may be bound: with the right to write to the
// destination and to read from the source.
func (ch *channel) bind(ctx context.Context, b topology.Binding, c topology.Command) error {
	if err := ch.allow(auth.Write, b.ToExchange, b.Destination); err != nil {
		return err
	}
	if b.Source != "" && !(b.ToExchange && b.Destination == "") { // the definitions refuse the default exchange in their own words
		if err := ch.allow(auth.Read, true, b.Source); err != nil {
			return err
		}
		var source *topology.Exchange
		ch.c.cfg.Definitions.View(func(t *topology.Topology) { source = t.Exchange(b.VHost, b.Source) })
		if err := ch.allowTopics(auth.Read, source, b.RoutingKey, nil); err != nil {
			return err
		}
	}
	return ch.apply(ctx, c)
}

// surely looks at the definitions. This node's copy may lag behind what the client
// has seen of other nodes: a refusal is given only after a second look, at a copy
// that is current. Without a majority the first look has to do.
func (ch *channel) surely(ctx context.Context, look func(*topology.Topology) error) error {
	err := ch.view(look)
	stale := errors.Is(err, topology.ErrNotFound) || errors.Is(err, topology.ErrResourceLocked) || errors.Is(err, topology.ErrPreconditionFailed)
	if !stale || !ch.current(ctx) {
		return err
	}
	return ch.view(look)
}

// current makes this node's copy of the definitions current, if that can be done.
func (ch *channel) current(ctx context.Context) bool {
	asked, cancel := ch.call(ctx)
	defer cancel()
	if err := ch.c.cfg.Definitions.Current(asked); err != nil {
		ch.c.logger.Debug("refused by definitions that may not be current", "channel", ch.id, "error", err)
		return false
	}
	return true
}

// view looks at the definitions.
func (ch *channel) view(look func(*topology.Topology) error) (err error) {
	ch.c.cfg.Definitions.View(func(t *topology.Topology) { err = look(t) })
	return err
}

// apply changes the definitions.
func (ch *channel) apply(ctx context.Context, c topology.Command) error {
	_, err := ch.change(ctx, c)
	return err
}

func (ch *channel) change(ctx context.Context, c topology.Command) (topology.Result, error) {
	asked, cancel := ch.call(ctx)
	defer cancel()
	return ch.c.cfg.Definitions.Apply(asked, c)
}
