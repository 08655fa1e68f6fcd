package topology

import "slices"

// vhost holds what a vhost contains. Bindings are found from both ends: by their
// source for listing and if-unused, by their destination when that goes.
type vhost struct {
	name      string
	def       *VHost // replaced, never changed
	limits    map[string]int64
	exchanges map[string]*Exchange
	queues    map[string]*Queue // those that clients can name
	replies   int               // of queues: those of direct reply-to, which no limit counts
	hidden    map[string]*Queue // those that belong to exchanges
	from      map[string]bindings
	to        map[end]bindings
	policies  policies
}

// end is the destination of bindings.
type end struct {
	name     string
	exchange bool
}

// bindings are kept by identity.
type bindings map[string]*Binding

// predeclared are the exchanges that every vhost has, in the order of their names.
var predeclared = [...]Exchange{
	{Name: "", Type: Direct},
	{Name: "amq.direct", Type: Direct},
	{Name: "amq.fanout", Type: Fanout},
	{Name: "amq.headers", Type: Headers},
	{Name: "amq.match", Type: Headers},
	{Name: "amq.rabbitmq.trace", Type: Topic, Internal: true},
	{Name: "amq.topic", Type: Topic},
}

// vhost finds the vhost that a client works in.
func (t *Topology) vhost(name string) (*vhost, error) {
	if v := t.vhosts[name]; v != nil {
		return v, nil
	}
	return nil, refuse(ErrNotAllowed, "vhost %s not found", name)
}

func (t *Topology) declareVHost(c DeclareVHost) (Result, error) {
	if err := checkVHost(&c.VHost); err != nil {
		return Result{}, err
	}
	if t.vhosts[c.VHost.Name] != nil {
		return Result{}, nil
	}
	if err := t.checkVHostLimit(c); err != nil {
		return Result{}, err
	}
	return Result{Created: true, Changes: t.addVHost(c.VHost, nil)}, nil
}

func checkVHost(v *VHost) error {
	if v.Name == "" {
		return refuse(ErrPreconditionFailed, "vhost name cannot be empty")
	}
	switch v.DefaultQueueType {
	case "", classic, quorum:
	default:
		return refuse(ErrPreconditionFailed, "unsupported queue type '%s'", v.DefaultQueueType)
	}
	return checkLength("vhost", v.Name)
}

func (t *Topology) updateVHost(c UpdateVHost) (Result, error) {
	v, err := t.vhost(c.VHost.Name)
	if err != nil {
		return Result{}, err
	}
	if err := checkVHost(&c.VHost); err != nil {
		return Result{}, err
	}
	if v.def.same(&c.VHost) {
		return Result{}, nil
	}
	v.def = &c.VHost
	return Result{Changes: []Change{{Kind: VHostChanged, VHost: v.name}}}, nil
}

func (v *VHost) same(w *VHost) bool {
	return v.Name == w.Name && v.Description == w.Description && slices.Equal(v.Tags, w.Tags) &&
		v.DefaultQueueType == w.DefaultQueueType && v.Protected == w.Protected
}

// allQueues lists the queues by name, the hidden ones first.
func (v *vhost) allQueues() []*Queue {
	return append(sortedQueues(v.hidden), sortedQueues(v.queues)...)
}

// addVHost makes a vhost with its predeclared exchanges and appends the changes.
func (t *Topology) addVHost(def VHost, changes []Change) []Change {
	v := t.newVHost(def)
	changes = append(changes, Change{Kind: VHostAdded, VHost: def.Name})
	for _, x := range predeclared {
		x.VHost, x.Durable = def.Name, true
		v.exchanges[x.Name] = &x
		changes = append(changes, Change{Kind: ExchangeAdded, VHost: def.Name, Exchange: &x})
	}
	return changes
}

func (t *Topology) newVHost(def VHost) *vhost {
	v := &vhost{
		name:      def.Name,
		def:       &def,
		exchanges: make(map[string]*Exchange),
		queues:    make(map[string]*Queue),
		hidden:    make(map[string]*Queue),
		from:      make(map[string]bindings),
		to:        make(map[end]bindings),
	}
	t.vhosts[def.Name] = v
	return v
}

func (t *Topology) deleteVHost(c DeleteVHost) (Result, error) {
	v := t.vhosts[c.Name]
	if v == nil {
		return Result{}, nil
	}
	if v.def.Protected {
		return Result{}, refuse(ErrPreconditionFailed, "Refusing to delete virtual host '%s' because it is protected from deletion", v.name)
	}
	var changes []Change
	for _, b := range t.Bindings(c.Name) {
		changes = append(changes, v.bindingChange(BindingRemoved, b))
	}
	for _, x := range t.Exchanges(c.Name) {
		changes = append(changes, Change{Kind: ExchangeRemoved, VHost: c.Name, Exchange: x})
	}
	for _, q := range v.allQueues() {
		t.forget(q)
		changes = append(changes, Change{Kind: QueueRemoved, VHost: c.Name, Queue: q})
	}
	delete(t.vhosts, c.Name)
	return Result{Changes: append(changes, Change{Kind: VHostRemoved, VHost: c.Name})}, nil
}
