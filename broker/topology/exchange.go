package topology

import "strings"

const alternateExchange = "alternate-exchange"

func (t *Topology) declareExchange(c DeclareExchange) (Result, error) {
	x := c.Exchange
	v, err := t.vhost(x.VHost)
	if err != nil {
		return Result{}, err
	}
	if err := checkExchangeType(x.Type); err != nil {
		return Result{}, err
	}
	if err := checkNotDefault(x.Name); err != nil {
		return Result{}, err
	}
	if old := v.exchanges[x.Name]; old != nil {
		if err := CheckExchangeEquivalent(old, &x); err != nil {
			return Result{}, err
		}
		return Result{Exchange: old}, nil
	}
	if err := checkName("exchange", x.Name); err != nil {
		return Result{}, err
	}
	r := exchangeNamed(x.VHost, x.Name)
	if err := checkNameArgument(alternateExchange, x.Arguments, r); err != nil {
		return Result{}, err
	}
	if err := checkArgumentsValid(x.Arguments, r); err != nil {
		return Result{}, err
	}
	v.exchanges[x.Name] = &x
	change := Change{Kind: ExchangeAdded, VHost: x.VHost, Exchange: &x}
	return Result{Exchange: &x, Created: true, Changes: []Change{change}}, nil
}

func checkExchangeType(name string) error {
	switch name {
	case Direct, Fanout, Topic, Headers:
		return nil
	default:
		return refuse(ErrPreconditionFailed, "unknown exchange type '%s'", name)
	}
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
	if err := checkNotDefault(c.Name); err != nil {
		return Result{}, err
	}
	r := exchangeNamed(c.VHost, c.Name)
	if strings.HasPrefix(c.Name, "amq.") {
		return Result{}, refuse(ErrAccessRefused, "deletion of system %v not allowed", r)
	}
	x := v.exchanges[c.Name]
	if x == nil {
		return Result{}, nil
	}
	if c.IfUnused && len(v.from[c.Name]) > 0 {
		return Result{}, refuse(ErrPreconditionFailed, "%v in use", r)
	}
	sources, changes := v.removeExchange(x, nil)
	return Result{Exchange: x, Changes: v.autoDelete(sources, changes)}, nil
}

// removeExchange removes x with all bindings from and to it. It returns the exchanges that lost a binding.
func (v *vhost) removeExchange(x *Exchange, changes []Change) ([]string, []Change) {
	_, changes = v.removeBindings(v.from[x.Name], changes)
	sources, changes := v.removeBindings(v.to[end{x.Name, true}], changes)
	delete(v.exchanges, x.Name)
	return sources, append(changes, Change{Kind: ExchangeRemoved, VHost: v.Name, Exchange: x})
}

// autoDelete removes the auto-delete exchanges among names that lost their last
// binding, which may take bindings, and so further such exchanges, with it.
func (v *vhost) autoDelete(names []string, changes []Change) []Change {
	for len(names) > 0 {
		x := v.exchanges[names[0]]
		names = names[1:]
		if x == nil || !x.AutoDelete || len(v.from[x.Name]) > 0 {
			continue
		}
		var sources []string
		sources, changes = v.removeExchange(x, changes)
		names = append(names, sources...)
	}
	return changes
}
