package diff

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what sort of queue Channel.Queue declares.
type Kind string

// The kinds. RabbitMQ always runs with a durable classic queue, which is what
// Warren's queues of every kind have to behave like; only RealQuorum is
// compared with RabbitMQ's own quorum queue.
const (
	Classic    Kind = "classic"     // durable: replicated on Warren
	Quorum     Kind = "quorum"      // durable with x-queue-type=quorum
	Transient  Kind = "transient"   // neither durable nor exclusive: in the memory of one node
	Exclusive  Kind = "exclusive"   // of one connection alone
	RealQuorum Kind = "real quorum" // as Quorum, beside a quorum queue of RabbitMQ
)

// Everywhere is the kinds that any connection may use.
func Everywhere() []Kind { return []Kind{Classic, Quorum, Transient} }

// reference is the kind that RabbitMQ runs with.
func (k Kind) reference() Kind {
	if k == RealQuorum {
		return RealQuorum
	}
	return Classic
}

// Scenario is a short program of AMQP operations whose transcript must be the
// same on RabbitMQ and on Warren.
type Scenario struct {
	// Name is the rows that it shows, a slash and a sentence:
	// "E2/durable differs", "D9,G2/an alternate exchange satisfies mandatory".
	Name string
	Run  func(*S)

	// Kinds is the kinds of queue that it runs with on Warren; none: Classic.
	Kinds []Kind

	// Delta is the lines that differ, where they should: "- " before RabbitMQ
	// 3.10's and "+ " before Warren's, in the order of a failure's output.
	Delta string
	// Want is Warren's whole transcript, for what RabbitMQ 3.10 does not have
	// at all; it is not asked then.
	Want string
	// Upgrade rewrites RabbitMQ 3.10's lines to what 4.x would say, where many
	// scenarios would need the same Delta; a line that becomes "" goes.
	Upgrade func(line string) string
	// Source says where Delta, Want or Upgrade comes from: RabbitMQ 4.x's file
	// and line, or a document.
	Source string
	// Differs is the row of the difference that a Delta or Want is an instance
	// of: one that Warren makes on purpose, from 4.x as well.
	Differs string

	// Counters shows the headers that tell how often a message was handed out.
	// They depend on the kind of queue, so they are hidden else.
	Counters bool

	Limit time.Duration // of one run; 0: 30 s, which only a loaded machine needs
	Alone bool          // with no other scenario beside it: alarms, limits of a node
}

// Rows is the ids of the rows that it shows.
func (sc *Scenario) Rows() []string {
	rows, _, _ := strings.Cut(sc.Name, "/")
	return strings.Split(rows, ",")
}

// Check finds what is wrong with the declaration.
func (sc *Scenario) Check() error {
	rows, title, ok := strings.Cut(sc.Name, "/")
	special := sc.Delta != "" || sc.Want != "" || sc.Upgrade != nil
	switch {
	case !ok || rows == "" || title == "" || strings.Contains(title, "/"):
		return fmt.Errorf("%q: a name is rows, one slash, a sentence", sc.Name)
	case sc.Run == nil:
		return fmt.Errorf("%q has no program", sc.Name)
	case (sc.Delta != "" || sc.Upgrade != nil) && sc.Want != "":
		return fmt.Errorf("%q has a Want beside a Delta or Upgrade", sc.Name)
	case special && sc.Source == "" && sc.Differs == "":
		return fmt.Errorf("%q expects something else than RabbitMQ 3.10 does, and names neither Source nor Differs", sc.Name)
	case !special && (sc.Source != "" || sc.Differs != ""):
		return fmt.Errorf("%q names a Source or a difference, and expects what RabbitMQ does", sc.Name)
	}
	return nil
}

func (sc *Scenario) kinds() []Kind {
	if len(sc.Kinds) == 0 {
		return []Kind{Classic}
	}
	return sc.Kinds
}

func (sc *Scenario) limit() time.Duration {
	if sc.Limit == 0 {
		return 30 * time.Second
	}
	return sc.Limit
}
