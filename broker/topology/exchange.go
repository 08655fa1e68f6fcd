package topology

import "strings"

const alternateExchange = "alternate-exchange"

func (t *Topology) declareExchange(c DeclareExchange) (Result, error) {
	x := c.Exchange
	v, err := t.vhost(x.VHost)
	if err != nil {
		return Result{}, err
	}
	if err := CheckDeclared(&x); err != nil {
		return Result{}, err
	}
	if old := v.exchanges[x.Name]; old != nil {
		if err := CheckExchangeEquivalent(old, &x); err != nil {
			return Result{}, err
		}
		return Result{Exchange: old}, nil
	}
	if err := CheckNewExchange(&x); err != nil {
		return Result{}, err
	}
	if err := t.checkExchangeLimit(c); err != nil {
		return Result{}, err
	}
	if err := checkArgumentsValid(x.Arguments, exchangeNamed(x.VHost, x.Name)); err != nil {
		return Result{}, err
	}
	if err := checkExchangeArguments(&x); err != nil {
		return Result{}, err
	}
	t.serial++
	x.Serial = t.serial
	changes := t.addHidden(v, &x, c.Group, nil)
	x.alternate, x.hasAlternate = v.policies.alternate(&x)
	v.exchanges[x.Name] = &x
	changes = append(changes, Change{Kind: ExchangeAdded, VHost: x.VHost, Exchange: &x})
	return Result{Exchange: &x, Created: true, Changes: changes}, nil
}

// A declaration is checked in RabbitMQ's order, in which a client's rights are asked
// for in between: CheckDeclared before the right to configure it, then equivalence or
// CheckNewExchange, then the rights that its alternate exchange takes, then the rest.

// CheckDeclared refuses a type that there is none of, and the default exchange.
func CheckDeclared(x *Exchange) error {
	if err := checkExchangeType(x.Type); err != nil {
		return err
	}
	return checkNotDefault(x.Name)
}

// CheckNewExchange refuses a reserved name, and an alternate exchange that is no name.
func CheckNewExchange(x *Exchange) error {
	if err := checkName("exchange", x.Name); err != nil {
		return err
	}
	return checkNameArgument(alternateExchange, x.Arguments, exchangeNamed(x.VHost, x.Name))
}

// CheckExchangeDeletion refuses exchanges that cannot be deleted, whoever asks.
func CheckExchangeDeletion(vhost, name string) error {
	if err := checkNotDefault(name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "amq.") {
		return refuse(ErrAccessRefused, "deletion of system %v not allowed", exchangeNamed(vhost, name))
	}
	return nil
}

// addHidden makes the hidden queue of an exchange that keeps messages.
func (t *Topology) addHidden(v *vhost, x *Exchange, group uint64, changes []Change) []Change {
	x.DelayQueue, x.HistoryQueue = 0, 0 // whatever was asked for
	if !x.KeepsMessages() {
		return changes
	}
	q := &Queue{VHost: x.VHost, Durable: true, Group: group}
	t.lastID++
	q.ID = t.lastID
	if x.Type == Delayed {
		q.Name, q.Delays, x.DelayQueue = "amq.delayed."+x.Name, x.Name, q.ID
	} else {
		q.Name, q.Keeps, x.HistoryQueue = "amq.history."+x.Name, x.Name, q.ID
	}
	t.keep(v, q)
	return append(changes, Change{Kind: QueueAdded, VHost: x.VHost, Queue: q})
}

// hiddenQueue is the queue that x keeps messages in, nil for most.
func (t *Topology) hiddenQueue(x *Exchange) *Queue {
	return t.byID[x.DelayQueue|x.HistoryQueue] // one of them is 0; no queue has that id
}

// CheckExchangeEquivalent compares an exchange with a declaration under its name.
func CheckExchangeEquivalent(old, declared *Exchange) error {
	r := exchangeNamed(old.VHost, old.Name)
	if old.Type != declared.Type {
		return inequivalent("type", r, quoted(declared.Type), quoted(old.Type))
	}
	for _, f := range [...]struct {
		name          string
		declared, old bool
	}{
		{"durable", declared.Durable, old.Durable},
		{"auto_delete", declared.AutoDelete, old.AutoDelete},
		{"internal", declared.Internal, old.Internal},
	} {
		if f.declared != f.old {
			return inequivalent(f.name, r, quoted(f.declared), quoted(f.old))
		}
	}
	return checkArgumentEquivalent(alternateExchange, r, old.Arguments, declared.Arguments)
}

func (t *Topology) deleteExchange(c DeleteExchange) (Result, error) {
	v, err := t.vhost(c.VHost)
	if err != nil {
		return Result{}, err
	}
	if err := CheckExchangeDeletion(c.VHost, c.Name); err != nil {
		return Result{}, err
	}
	x := v.exchanges[c.Name]
	if x == nil {
		return Result{}, nil
	}
	if c.IfUnused && len(v.from[c.Name]) > 0 {
		return Result{}, refuse(ErrPreconditionFailed, "%v in use", exchangeNamed(c.VHost, c.Name))
	}
	sources, changes := t.removeExchange(v, x, nil)
	return Result{Exchange: x, Changes: t.autoDelete(v, sources, changes)}, nil
}

// removeExchange removes x with all bindings from and to it. It returns the exchanges that lost a binding.
func (t *Topology) removeExchange(v *vhost, x *Exchange, changes []Change) ([]string, []Change) {
	_, changes = v.removeBindings(v.from[x.Name], changes)
	sources, changes := v.removeBindings(v.to[end{x.Name, true}], changes)
	delete(v.exchanges, x.Name)
	changes = append(changes, Change{Kind: ExchangeRemoved, VHost: v.name, Exchange: x})
	if q := t.hiddenQueue(x); q != nil {
		t.forget(q)
		changes = append(changes, Change{Kind: QueueRemoved, VHost: v.name, Queue: q})
	}
	return sources, changes
}

// autoDelete removes the auto-delete exchanges among names that lost their last
// binding, which may take bindings, and so further such exchanges, with it.
func (t *Topology) autoDelete(v *vhost, names []string, changes []Change) []Change {
	for len(names) > 0 {
		x := v.exchanges[names[0]]
		names = names[1:]
		if x == nil || !x.AutoDelete || len(v.from[x.Name]) > 0 {
			continue
		}
		var sources []string
		sources, changes = t.removeExchange(v, x, changes)
		names = append(names, sources...)
	}
	return changes
}

// dropVolatile takes auto-delete exchanges along only if they are not durable either:
// a restart is nothing that a client did.
func (t *Topology) dropVolatile(c DropVolatile) (Result, error) {
	var changes []Change
	for _, name := range t.VHosts() {
		v := t.vhosts[name]
		for _, x := range t.Exchanges(name) {
			if !x.Durable && x.Serial <= c.Through {
				_, changes = t.removeExchange(v, x, changes)
			}
		}
	}
	return Result{Changes: changes}, nil
}
