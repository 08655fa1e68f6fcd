package management

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/policy"
	"github.com/warrenmq/warren/broker/topology"
)

// queueJSON is a queue in listings.
type queueJSON struct {
	Name            string         `json:"name"`
	VHost           string         `json:"vhost"`
	Type            string         `json:"type"`
	Durable         bool           `json:"durable"`
	AutoDelete      bool           `json:"auto_delete"`
	Exclusive       bool           `json:"exclusive"`
	Arguments       map[string]any `json:"arguments"`
	Node            string         `json:"node"`
	Leader          string         `json:"leader,omitempty"`
	Members         []string       `json:"members,omitempty"`
	Online          []string       `json:"online,omitempty"`
	State           string         `json:"state"`
	Policy          *string        `json:"policy"`
	OperatorPolicy  *string        `json:"operator_policy"`
	EffectivePolicy map[string]any `json:"effective_policy_definition"`
	*queueCounts
}

// queueCounts are left out when the queue's leader does not answer.
type queueCounts struct {
	Messages    uint64 `json:"messages"`
	Ready       uint64 `json:"messages_ready"`
	Unacked     uint64 `json:"messages_unacknowledged"`
	DeadLetters uint64 `json:"messages_dlx"`
	Persistent  uint64 `json:"messages_persistent"`
	Consumers   int    `json:"consumers"`
}

// Place is where a queue is, in names of nodes.
type Place struct {
	Leader          string // "" while none is known
	Members, Online []string
}

// countingAtOnce bounds how many queues' leaders are asked at the same time.
const countingAtOnce = 64

// describeQueue is what the definitions say of a queue.
func (s *Server) describeQueue(t *topology.Topology, q *topology.Queue) queueJSON {
	place := s.cfg.Queues.Place(q)
	j := queueJSON{
		Name: q.Name, VHost: q.VHost, Type: q.Type(), Durable: q.Durable, AutoDelete: q.AutoDelete, Exclusive: q.Exclusive,
		Arguments: table(q.Arguments), Node: place.Leader, State: "running",
	}
	if q.Group != 0 {
		j.Leader, j.Members, j.Online = place.Leader, place.Members, place.Online
	}
	user, operator := t.QueuePolicies(q)
	j.Policy, j.OperatorPolicy = policyName(user), policyName(operator)
	if j.EffectivePolicy = policy.Effective(user, operator); j.EffectivePolicy == nil {
		j.EffectivePolicy = map[string]any{}
	}
	return j
}

func policyName(p *policy.Policy) *string {
	if p == nil {
		return nil
	}
	return &p.Name
}

// count asks a queue's leader; a queue whose leader does not answer is down.
func (s *Server) count(ctx context.Context, q *topology.Queue, j *queueJSON) {
	c, err := s.cfg.Queues.Counts(ctx, q.ID)
	if err != nil {
		j.State = "down"
		return
	}
	j.queueCounts = counts(c)
	if q.Durable {
		j.queueCounts.Persistent = j.queueCounts.Messages
	}
}

func counts(c leader.Counts) *queueCounts {
	return &queueCounts{Messages: c.Ready + c.Unacked, Ready: c.Ready, Unacked: c.Unacked, DeadLetters: c.DeadLetters, Consumers: c.Consumers}
}

// queues are those of the vhost that the path names, or of all, with their counts.
func (s *Server) queues(ctx context.Context, p params) []queueJSON {
	list := []queueJSON{}
	var defined []topology.Queue
	s.cfg.Definitions.View(func(t *topology.Topology) {
		for _, vhost := range t.VHosts() {
			if v, one := p["vhost"]; one && v != vhost {
				continue
			}
			for _, q := range t.Queues(vhost) {
				if topology.IsReplyQueue(q.Name) { // no queue to RabbitMQ
					continue
				}
				list, defined = append(list, s.describeQueue(t, q)), append(defined, *q)
			}
		}
	})
	var asking sync.WaitGroup
	free := make(chan struct{}, countingAtOnce)
	for i := range list {
		free <- struct{}{}
		asking.Go(func() {
			s.count(ctx, &defined[i], &list[i])
			<-free
		})
	}
	asking.Wait()
	return list
}

func (s *Server) listQueues(w http.ResponseWriter, r *http.Request, p params) {
	if !s.known(p) {
		missing(w)
		return
	}
	replyList(w, r, s.queues(r.Context(), p))
}

// findQueue is the queue that the path names; where there is none it answers the request.
func (s *Server) findQueue(w http.ResponseWriter, p params) (q topology.Queue, j queueJSON, ok bool) {
	s.cfg.Definitions.View(func(t *topology.Topology) {
		if found := t.Queue(p["vhost"], p["queue"]); found != nil && !found.Hidden() {
			q, j, ok = *found, s.describeQueue(t, found), true
		}
	})
	if !ok {
		missing(w)
	}
	return q, j, ok
}

func (s *Server) getQueue(w http.ResponseWriter, r *http.Request, p params) {
	if q, j, ok := s.findQueue(w, p); ok {
		s.count(r.Context(), &q, &j)
		reply(w, http.StatusOK, j)
	}
}

func (s *Server) deleteQueue(w http.ResponseWriter, r *http.Request, p params) {
	q, _, ok := s.findQueue(w, p)
	if !ok {
		return
	}
	query := r.URL.Query()
	if _, err := s.cfg.Queues.Delete(r.Context(), q, query.Get("if-unused") == "true", query.Get("if-empty") == "true", ""); err != nil {
		failed(w, err)
		return
	}
	s.audit("queue.delete", "vhost", q.VHost, "queue", q.Name)
	done(w, false)
}

func (s *Server) purgeQueue(w http.ResponseWriter, r *http.Request, p params) {
	q, _, ok := s.findQueue(w, p)
	if !ok {
		return
	}
	if q.Stream() {
		badRequest(w, fmt.Sprintf("NOT_IMPLEMENTED - queue.purge not supported by stream queues queue '%s' in vhost '%s'", q.Name, q.VHost))
		return
	}
	n, err := s.cfg.Queues.Purge(r.Context(), q.ID)
	if err != nil {
		failed(w, err)
		return
	}
	s.audit("queue.purge", "vhost", q.VHost, "queue", q.Name, "messages", n)
	done(w, false)
}
