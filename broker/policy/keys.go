package policy

// key is one that a definition may have.
type key struct {
	operator bool // operator policies may have it, too
	// noClassic, noQuorum, noStream: a policy with it is not for queues of that type.
	// Warren's classic queues have what is RabbitMQ's quorum queues' alone.
	noClassic, noQuorum, noStream bool
	check                         func(any) string // a fault in RabbitMQ's words, "" when there is none
}

func (k key) can(kind Kind) bool {
	switch kind {
	case ClassicQueue:
		return !k.noClassic
	case QuorumQueue:
		return !k.noQuorum
	case Stream:
		return !k.noStream
	default:
		return true
	}
}

// keys are those of RabbitMQ's policies. Some mean nothing to Warren and are
// accepted, because definitions of a cluster that is moved have them.
var keys = map[string]key{
	"alternate-exchange":            {check: text("alternate exchange name")},
	"consumer-disconnected-timeout": {check: notNegative("consumer disconnected timeout")},
	"consumer-timeout":              {check: notNegative("consumer timeout")},
	"dead-letter-exchange":          {noStream: true, check: text("dead letter exchange name")},
	"dead-letter-routing-key":       {noStream: true, check: text("dead letter routing key")},
	"dead-letter-strategy":          {noStream: true, check: oneOf("dead letter strategy", "at-most-once", "at-least-once")},
	"message-ttl":                   {operator: true, noStream: true, check: notNegative("message TTL")},
	"expires":                       {operator: true, noStream: true, check: number("queue expiry", 1, maxNumber)},
	"max-length":                    {operator: true, noStream: true, check: notNegative("maximum length")},
	"max-length-bytes":              {operator: true, check: notNegative("maximum length in bytes")},
	"max-in-memory-length":          {operator: true, noStream: true, check: notNegative("maximum memory in bytes")},
	"max-in-memory-bytes":           {operator: true, noStream: true, check: notNegative("maximum memory in bytes")},
	"overflow":                      {operator: true, noStream: true, check: oneOf("overflow value", "drop-head", "reject-publish", "reject-publish-dlx")},
	"delivery-limit":                {operator: true, noStream: true, check: number("delivery limit", -maxNumber, maxNumber)},
	"queue-mode":                    {noQuorum: true, noStream: true, check: oneOf("queue-mode value", "default", "lazy")},
	"queue-version":                 {operator: true, check: number("queue-version value", 1, 2)},
	"queue-leader-locator":          {check: oneOf("queue leader locator value", "client-local", "balanced", "random", "least-leaders")},
	"queue-master-locator":          {operator: true, noQuorum: true, noStream: true, check: oneOf("master locator", "client-local", "balanced", "random", "least-leaders", "min-masters")},

	"max-age":                       {noClassic: true, noQuorum: true, check: maxAge},
	"stream-max-segment-size-bytes": {noClassic: true, noQuorum: true, check: number("segment size", 0, 3_000_000_000)},
	"stream-filter-size-bytes":      {check: filterSize},
	"initial-cluster-size":          {noClassic: true, noQuorum: true, check: notNegative("cluster size")},

	"target-group-size":    {operator: true, noStream: true, check: number("qq target count value", 1, maxNumber)},
	"member-placement-tag": {operator: true, check: placementTag},
	"delayed-retry-type":   {operator: true, check: retryType},
	"delayed-retry-min":    {operator: true, check: retryDelay("minimum")},
	"delayed-retry-max":    {operator: true, check: retryDelay("maximum")},

	"federation-upstream":         {},
	"federation-upstream-pattern": {},
	"federation-upstream-set":     {},
	"shards-per-node":             {},
	"routing-key":                 {},

	"ha-mode":                {operator: true, noQuorum: true, noStream: true},
	"ha-params":              {operator: true, noQuorum: true, noStream: true},
	"ha-sync-mode":           {operator: true, noQuorum: true, noStream: true},
	"ha-sync-batch-size":     {noQuorum: true, noStream: true},
	"ha-promote-on-shutdown": {noQuorum: true, noStream: true},
	"ha-promote-on-failure":  {noQuorum: true, noStream: true},
}

// Settings that are numbers have 63 bits, whatever JSON can say.
const maxNumber = 1<<63 - 1

func notValid(v any, what string) string { return Term(v) + " is not a valid " + what }

func text(what string) func(any) string {
	return func(v any) string {
		if _, ok := v.(string); ok {
			return ""
		}
		return notValid(v, what)
	}
}

func number(what string, least, most int64) func(any) string {
	return func(v any) string {
		if n, ok := whole(v); ok && n >= least && n <= most {
			return ""
		}
		return notValid(v, what)
	}
}

func notNegative(what string) func(any) string { return number(what, 0, maxNumber) }

func oneOf(what string, words ...string) func(any) string {
	return func(v any) string {
		for _, w := range words {
			if v == w {
				return ""
			}
		}
		return notValid(v, what)
	}
}

func filterSize(v any) string {
	if fault := number("filter size", 16, 255)(v); fault != "" {
		return fault + ". Valid range is 16-255"
	}
	return ""
}

func maxAge(v any) string {
	s, _ := v.(string)
	if _, ok := Age(s); ok {
		return ""
	}
	return notValid(v, "max age")
}

func placementTag(v any) string {
	if s, ok := v.(string); ok && s != "" {
		return ""
	}
	return notValid(v, "member-placement-tag value. Must be a non-empty string")
}

func retryType(v any) string {
	if oneOf("", "all", "failed", "returned", "disabled")(v) == "" {
		return ""
	}
	return notValid(v, "delayed retry type. Must be one of: all, failed, returned, disabled")
}

func retryDelay(which string) func(any) string {
	return number("delayed retry "+which+" delay. Must be a positive integer", 1, maxNumber)
}
