package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warrenmq/warren/broker/leader"
	"github.com/warrenmq/warren/broker/queue"
	"github.com/warrenmq/warren/broker/routing"
	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// fakeRoutes routes what is published to the exchange dlx to queues, and takes what has waited to after.
type fakeRoutes struct {
	queues, after []queue.ID
	byDefault     []queue.ID // of the default exchange
	later         []queue.ID
	keys          []string // asked for
}

func (f *fakeRoutes) Route(_, exchange, key string, also []string, _ routing.Message) (r routing.Result) {
	f.keys = append([]string{key}, also...)
	if exchange == "dlx" {
		r.Exchange, r.Queues, r.Delayed, r.Delay = &topology.Exchange{Name: "dlx"}, f.queues, f.later, time.Minute
	}
	if exchange == "" {
		r.Exchange, r.Queues = &topology.Exchange{}, f.byDefault
	}
	return r
}

func (f *fakeRoutes) RouteDelayed(_, exchange, key string, also []string, _ routing.Message) routing.Result {
	f.keys = append([]string{exchange, key}, also...)
	return routing.Result{Exchange: &topology.Exchange{Name: exchange}, Queues: f.after}
}

// fakePublisher keeps what it is given; queue 9 is full until it is made empty.
type fakePublisher struct {
	mu   sync.Mutex
	full bool
	got  []published
	at   []time.Time // of tries at queue 9
}

type published struct {
	to queue.ID
	m  queue.Message
}

var errFull = errors.New("full")

func (f *fakePublisher) Publish(_ context.Context, to []queue.ID, m *queue.Message, done func(error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if to[0] == 9 {
		f.at = append(f.at, time.Now())
		if f.full {
			go done(errFull)
			return nil
		}
	}
	f.got = append(f.got, published{to[0], *m})
	go done(nil)
	return nil
}

func (f *fakePublisher) queues() (ids []queue.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.got {
		ids = append(ids, p.to)
	}
	return ids
}

// routed runs one dead letter through a Router in virtual time and tells what done heard.
func routed(t *testing.T, routes *fakeRoutes, p *fakePublisher, s queue.Settings, d leader.Dead, wait time.Duration, meanwhile func(*Config)) (heard []error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Routes: routes, Publisher: p, Name: func(id queue.ID) (string, bool) { return fmt.Sprint("q", id), true }}
		if meanwhile != nil {
			meanwhile(&cfg)
		}
		r := New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		var mu sync.Mutex
		r.DeadLetter(ctx, s, d, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, err)
		})
		time.Sleep(wait)
		synctest.Wait()
		mu.Lock()
		got := slices.Clone(heard)
		mu.Unlock()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // what was to be tried again hears of the end
		synctest.Wait()
		heard = got
	})
	return heard
}

var (
	letters = queue.Settings{VHost: "/", Name: "q1", DeadLetters: true, DeadLetterExchange: "dlx"}
	expired = leader.Dead{Reason: queue.Expired, Died: died, Message: queue.Message{RoutingKey: "k", TTL: time.Second, Properties: []byte{0, 0}}}
)

func TestADeadLetterGoesToEveryTarget(t *testing.T) {
	p := &fakePublisher{}
	heard := routed(t, &fakeRoutes{queues: []queue.ID{2, 3}}, p, letters, expired, 0, nil)
	if !slices.Equal(p.queues(), []queue.ID{2, 3}) || len(heard) != 1 || heard[0] != nil {
		t.Errorf("went to %v, done heard %v", p.queues(), heard)
	}
	if m := p.got[0].m; m.Exchange != "dlx" || !m.Died || m.TTL != queue.NoTTL {
		t.Errorf("%+v", m)
	}
}

func TestADeadLetterThatNobodyWantsIsDropped(t *testing.T) {
	missing := letters
	missing.DeadLetterExchange = "missing"
	for name, c := range map[string]struct {
		settings queue.Settings
		routes   fakeRoutes
	}{
		"the exchange is missing":      {missing, fakeRoutes{queues: []queue.ID{2}}},
		"there is no route":            {letters, fakeRoutes{}},
		"it would come back by itself": {letters, fakeRoutes{queues: []queue.ID{1}}},
	} {
		p := &fakePublisher{}
		heard := routed(t, &c.routes, p, c.settings, expired, 0, nil)
		if len(p.queues()) != 0 || len(heard) != 1 || heard[0] != nil {
			t.Errorf("%s: went to %v, done heard %v", name, p.queues(), heard)
		}
	}
}

func TestNothingIsDroppedForWhatTheNodeDoesNotKnowYet(t *testing.T) {
	for name, behind := range map[string]func(*Config, *fakeRoutes){
		"it has just started": func(c *Config, routes *fakeRoutes) {
			ready := make(chan struct{})
			c.Ready = ready
			time.AfterFunc(time.Minute, func() {
				routes.queues = []queue.ID{2}
				close(ready)
			})
		},
		"it was cut off": func(c *Config, routes *fakeRoutes) {
			begin := time.Now()
			c.Current = func(context.Context) error {
				if time.Since(begin) < 5*time.Second {
					return errors.New("no majority")
				}
				routes.queues = []queue.ID{2}
				return nil
			}
		},
	} {
		p := &fakePublisher{}
		routes := &fakeRoutes{}
		heard := routed(t, routes, p, letters, expired, 2*time.Minute, func(c *Config) { behind(c, routes) })
		if !slices.Equal(p.queues(), []queue.ID{2}) || len(heard) != 1 || heard[0] != nil {
			t.Errorf("%s: went to %v, done heard %v", name, p.queues(), heard)
		}
	}
}

func TestALetterOfAQueueWithoutADeadLetterExchangeGoesNowhere(t *testing.T) {
	for name, s := range map[string]queue.Settings{
		"its policy was cleared when letters were pending": {VHost: "/", Name: "q1"},
		"the key that is left leads somewhere":             {VHost: "/", Name: "q1", HasDeadLetterKey: true, DeadLetterKey: "q2"},
	} {
		p := &fakePublisher{}
		rejected := expired
		rejected.Reason = queue.Rejected
		heard := routed(t, &fakeRoutes{byDefault: []queue.ID{2}}, p, s, rejected, 0, nil)
		if len(p.queues()) != 0 || len(heard) != 1 || heard[0] != nil {
			t.Errorf("%s: went to %v, done heard %v", name, p.queues(), heard)
		}
	}
}

func TestARejectedLetterMayComeBack(t *testing.T) {
	p := &fakePublisher{}
	rejected := expired
	rejected.Reason = queue.Rejected
	routed(t, &fakeRoutes{queues: []queue.ID{1, 2}}, p, letters, rejected, 0, nil)
	if !slices.Equal(p.queues(), []queue.ID{1, 2}) {
		t.Errorf("went to %v", p.queues())
	}
}

func TestAFullTargetIsAskedAgainAndTheOthersAreNot(t *testing.T) {
	p := &fakePublisher{full: true}
	heard := routed(t, &fakeRoutes{queues: []queue.ID{2, 9}}, p, letters, expired, 10*time.Minute, nil)
	if !slices.Equal(p.queues(), []queue.ID{2}) || len(heard) != 0 {
		t.Fatalf("went to %v, done heard %v", p.queues(), heard)
	}
	if n := len(p.at); n < 15 || n > 30 {
		t.Errorf("%d tries in ten minutes", n)
	}
	for i := 1; i < len(p.at); i++ {
		if pause := p.at[i].Sub(p.at[i-1]); pause < firstPause || pause > lastPause {
			t.Errorf("pause %d is %v", i, pause)
		}
	}

	p = &fakePublisher{full: true}
	heard = routed(t, &fakeRoutes{queues: []queue.ID{2, 9}}, p, letters, expired, time.Minute, func(*Config) {
		time.AfterFunc(5*time.Second, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.full = false
		})
	})
	if !slices.Equal(p.queues(), []queue.ID{2, 9}) || len(heard) != 1 || heard[0] != nil {
		t.Errorf("went to %v, done heard %v", p.queues(), heard)
	}
}

// A letter whose only target is full goes back to its queue, which tries one of them alone.
func TestALetterForOneFullTargetGoesBack(t *testing.T) {
	for name, c := range map[string]struct {
		avoid []queue.ID
		to    []queue.ID
		asked int
		err   error
	}{
		"not known to be full":  {nil, []queue.ID{9}, 1, errFull},
		"known to be full":      {[]queue.ID{3, 9}, []queue.ID{9}, 0, errAvoided},
		"another is to be left": {[]queue.ID{3}, []queue.ID{9}, 1, errFull},
	} {
		p := &fakePublisher{full: true}
		d := expired
		d.Avoid = c.avoid
		heard := routed(t, &fakeRoutes{queues: c.to}, p, letters, d, time.Minute, nil)
		var full *leader.Full
		if len(heard) != 1 || !errors.As(heard[0], &full) || full.Target != 9 || !errors.Is(heard[0], c.err) || len(p.at) != c.asked {
			t.Errorf("%s: asked %d times, done heard %v", name, len(p.at), heard)
		}
	}
}

func TestALetterThatWaitsDoesNotKeepItsBatch(t *testing.T) {
	p := &fakePublisher{full: true}
	batch := []byte{0, 0, 'b', 'o', 'd', 'y'}
	d := expired
	d.Message.Properties, d.Message.Body = batch[:2], batch[2:]
	routed(t, &fakeRoutes{queues: []queue.ID{2, 9}}, p, letters, d, time.Minute, func(*Config) {
		time.AfterFunc(firstPause/2, func() {
			clear(batch) // nobody needs it any more
			p.mu.Lock()
			defer p.mu.Unlock()
			p.full = false
		})
	})
	if len(p.got) != 2 || string(p.got[1].m.Body) != "body" {
		t.Errorf("got %v", p.got)
	}
}

func TestARefusedLetterGoesByTheSettingsOfNow(t *testing.T) {
	p := &fakePublisher{full: true}
	heard := routed(t, &fakeRoutes{queues: []queue.ID{2, 9}}, p, letters, expired, time.Minute, func(c *Config) {
		c.Settings = func(s queue.Settings) (queue.Settings, bool) {
			s.DeadLetters = false
			return s, true
		}
	})
	if len(p.at) != 1 || len(heard) != 1 || heard[0] != nil {
		t.Errorf("%d tries, done heard %v", len(p.at), heard)
	}
}

func TestADelayedMessageGoesOnWithItsDelayNegated(t *testing.T) {
	p := &fakePublisher{}
	routes := &fakeRoutes{after: []queue.ID{1, 2}}
	d := leader.Dead{Reason: queue.Expired, Died: died, Message: queue.Message{
		Exchange: "delayed", RoutingKey: "k", Blind: []string{"b"}, TTL: 5 * time.Second,
		Properties: properties0(t, wire.Properties{Headers: wire.Table{"x-delay": int32(5000), "CC": []any{"c"}}, Expiration: "70", AppID: "a"}),
	}}
	heard := routed(t, routes, p, queue.Settings{VHost: "/", Name: "amq.delayed.delayed", Delays: "delayed"}, d, 0, nil)
	if !slices.Equal(p.queues(), []queue.ID{1, 2}) || len(heard) != 1 || heard[0] != nil || !slices.Equal(routes.keys, []string{"delayed", "k", "c", "b"}) {
		t.Fatalf("went to %v by %q, done heard %v", p.queues(), routes.keys, heard)
	}
	m := p.got[0].m
	got := parsed(t, m.Properties)
	if got.Headers["x-delay"] != int32(-5000) || got.Headers["x-death"] != nil || got.Expiration != "70" || got.AppID != "a" {
		t.Errorf("%+v", got)
	}
	if m.Exchange != "delayed" || m.TTL != 70*time.Millisecond || m.Died {
		t.Errorf("%+v", m)
	}
}

func TestADeadLetterMayBeDelayed(t *testing.T) {
	p := &fakePublisher{}
	heard := routed(t, &fakeRoutes{later: []queue.ID{5}, queues: []queue.ID{2}}, p, letters, expired, 0, nil)
	if !slices.Equal(p.queues(), []queue.ID{2, 5}) || len(heard) != 1 || p.got[0].m.TTL != queue.NoTTL || p.got[1].m.TTL != time.Minute {
		t.Errorf("%+v, done heard %v", p.got, heard)
	}
}

func TestLettersOfAQueueKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePublisher{}
		r := New(Config{Routes: &fakeRoutes{queues: []queue.ID{2}}, Publisher: p, Name: func(queue.ID) (string, bool) { return "", false }})
		for i := range 200 {
			d := expired
			d.Message.Body = fmt.Appendf(nil, "%d", i)
			r.DeadLetter(t.Context(), letters, d, func(error) {})
		}
		synctest.Wait()
		for i, got := range p.got {
			if string(got.m.Body) != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, got.m.Body)
			}
		}
		if len(p.got) != 200 || len(r.lanes) != 0 {
			t.Errorf("%d published, %d lanes left", len(p.got), len(r.lanes))
		}
	})
}
