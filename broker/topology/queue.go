package topology

import "maps"

func (t *Topology) declareQueue(c DeclareQueue) (Result, error) {
	q := c.Queue
	v, err := t.vhost(q.VHost)
	if err != nil {
		return Result{}, err
	}
	q.Durable = q.Durable && !q.Exclusive // an exclusive queue cannot outlive its connection
	if !q.Exclusive {
		q.Owner = ""
	}
	q.Delays, q.Keeps = "", "" // these are made with their exchanges alone
	t.Complete(&q)
	if old := v.queues[q.Name]; old != nil {
		if err := CheckQueueEquivalent(old, &q); err != nil {
			return Result{}, err
		}
		return Result{Queue: old}, nil
	}
	if err := checkNewQueue(&q, c.ServerNamed); err != nil {
		return Result{}, err
	}
	if err := t.checkQueueLimits(v, c); err != nil {
		return Result{}, err
	}
	t.lastID++
	q.ID = t.lastID
	t.keep(v, &q)
	change := Change{Kind: QueueAdded, VHost: q.VHost, Queue: &q}
	return Result{Queue: &q, Created: true, Changes: []Change{change}}, nil
}

// Complete gives a declaration the arguments that it leaves to the broker: the queue
// type is the vhost's default, if that has one (E15). The prefix of a server-given
// name is no argument of the queue.
func (t *Topology) Complete(q *Queue) {
	_, prefixed := q.Arguments[namePrefix]
	kind, typed := q.Arguments[queueType]
	none := typed && (kind == "" || kind == "undefined") // clients' words for no type
	if v := t.vhosts[q.VHost]; v != nil && (!typed || none) {
		if kind = v.def.DefaultQueueType; (kind == quorum || kind == stream) && (!q.Durable || q.Exclusive || q.AutoDelete) {
			kind = "" // as in RabbitMQ, where such queues cannot be of that type: classic
		}
		typed, none = kind != "", none || kind != ""
	}
	if !prefixed && !none {
		return
	}
	args := make(Arguments, len(q.Arguments)+1)
	maps.Copy(args, q.Arguments)
	delete(args, namePrefix)
	delete(args, queueType)
	if typed {
		args[queueType] = kind
	}
	q.Arguments = args
}

// checkNewQueue is what a queue must meet to be made.
func checkNewQueue(q *Queue, serverNamed bool) error {
	check := checkName
	if serverNamed {
		check = checkLength
	}
	if err := check("queue", q.Name); err != nil {
		return err
	}
	if q.Name == "" {
		return refuse(ErrPreconditionFailed, "queue name cannot be empty")
	}
	if q.Exclusive && q.Owner == "" { // nobody's end would ever delete it
		return refuse(ErrPreconditionFailed, "exclusive %v has no owner", queueNamed(q.VHost, q.Name))
	}
	if serverNamed && q.Type() == stream {
		return refuse(ErrPreconditionFailed, "Cannot declare a server-named queue for type rabbit_stream_queue")
	}
	return checkQueueArguments(q)
}

// CheckQueueEquivalent compares a queue with a declaration under its name; the
// declared owner is the connection that declares an exclusive queue.
func CheckQueueEquivalent(old, declared *Queue) error {
	r := queueNamed(old.VHost, old.Name)
	if old.Exclusive != declared.Exclusive || old.Exclusive && old.Owner != declared.Owner {
		return locked(r)
	}
	if durable := declared.Durable && !declared.Exclusive; durable != old.Durable {
		return inequivalent("durable", r, quoted(durable), quoted(old.Durable))
	}
	if declared.AutoDelete != old.AutoDelete {
		return inequivalent("auto_delete", r, quoted(declared.AutoDelete), quoted(old.AutoDelete))
	}
	for _, name := range comparedArguments {
		if err := checkArgumentEquivalent(name, r, old.Arguments, declared.Arguments); err != nil {
			return err
		}
	}
	return nil
}

// CheckExclusive refuses a queue that belongs to another connection.
func CheckExclusive(q *Queue, connection string) error {
	if q.Exclusive && q.Owner != connection {
		return locked(queueNamed(q.VHost, q.Name))
	}
	return nil
}

func locked(r resource) error {
	return refuse(ErrResourceLocked, "cannot obtain exclusive access to locked %v. It could be originally declared on "+
		"another connection or the exclusive property value does not match that of the original declaration.", r)
}

func (t *Topology) deleteQueue(c DeleteQueue) (Result, error) {
	v, err := t.vhost(c.VHost)
	if err != nil {
		return Result{}, err
	}
	q := v.queues[c.Name]
	if q == nil || c.ID != 0 && c.ID != q.ID {
		return Result{}, nil
	}
	if c.Connection != "" {
		if err := CheckExclusive(q, c.Connection); err != nil {
			return Result{}, err
		}
	}
	return Result{Queue: q, Changes: t.removeQueue(q, nil)}, nil
}

func (t *Topology) deleteOwned(c DeleteOwned) (Result, error) {
	var changes []Change
	for _, q := range t.owned.sorted(c.Owner) {
		changes = t.removeQueue(q, changes)
	}
	return Result{Changes: changes}, nil
}

func (t *Topology) dropTransient(c DropTransient) (Result, error) {
	var changes []Change
	for _, q := range t.homes.sorted(c.Home) {
		if q.HomeEpoch < c.BeforeEpoch {
			changes = t.removeQueue(q, changes)
		}
	}
	return Result{Changes: changes}, nil
}

// removeQueue removes q with its bindings and the auto-delete exchanges that lived by them.
func (t *Topology) removeQueue(q *Queue, changes []Change) []Change {
	v := t.vhosts[q.VHost]
	sources, changes := v.removeBindings(v.to[end{q.Name, false}], changes)
	t.forget(q)
	changes = append(changes, Change{Kind: QueueRemoved, VHost: q.VHost, Queue: q})
	return t.autoDelete(v, sources, changes)
}

// keep files a queue under all its names.
func (t *Topology) keep(v *vhost, q *Queue) {
	if q.Hidden() {
		v.hidden[q.Name] = q
	} else {
		v.queues[q.Name] = q
		v.policies.enter(q)
		if IsReplyQueue(q.Name) {
			v.replies++
		}
	}
	t.byID[q.ID] = q
	t.owned.add(q.Owner, q)
	t.homes.add(q.Home, q)
	t.groups.add(groupKey(q.Group), q)
}

// forget undoes keep.
func (t *Topology) forget(q *Queue) {
	v := t.vhosts[q.VHost]
	if q.Hidden() {
		delete(v.hidden, q.Name)
	} else {
		delete(v.queues, q.Name)
		v.policies.leave(q)
		if IsReplyQueue(q.Name) {
			v.replies--
		}
	}
	delete(t.byID, q.ID)
	t.owned.remove(q.Owner, q)
	t.homes.remove(q.Home, q)
	t.groups.remove(groupKey(q.Group), q)
}
