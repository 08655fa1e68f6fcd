package policy

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	one := func(key string, v any) map[string]any { return map[string]any{key: v} }
	for _, c := range []struct {
		name     string
		p        Policy
		operator bool
		want     string // after "Validation failed", "" for none
	}{
		{"a plain one", Policy{Pattern: "^q", Definition: one("message-ttl", int64(0))}, false, ""},
		{"numbers as encoding/json gives them", Policy{Definition: one("max-length", float64(10))}, false, ""},
		{"lookahead", Policy{Pattern: `^(?!amq\.).*`, Definition: one("expires", int64(1))}, false, ""},
		{"keys of mirrored queues are accepted", Policy{Definition: map[string]any{"ha-mode": "all", "ha-sync-mode": "automatic"}}, false, ""},
		{"federation", Policy{Definition: one("federation-upstream-set", "all")}, false, ""},
		{"no limit of deliveries", Policy{Definition: one("delivery-limit", int64(-1))}, true, ""},
		{"nothing", Policy{}, false, "no policy provided\n"},
		{"an unknown key", Policy{Definition: one("foo", "bar")}, false, "[{<<\"foo\">>,<<\"bar\">>}] are not recognised policy settings\n"},
		{"two unknown keys", Policy{Definition: map[string]any{"b": int64(1), "a": true}}, false, "[{<<\"a\">>,true},{<<\"b\">>,1}] are not recognised policy settings\n"},
		{"a dead-letter exchange is no operator's", Policy{Definition: one("dead-letter-exchange", "x")}, true, "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings\n"},
		{"a negative TTL", Policy{Definition: one("message-ttl", int64(-1))}, false, "-1 is not a valid message TTL\n"},
		{"a TTL in words", Policy{Definition: one("message-ttl", "1h")}, false, "<<\"1h\">> is not a valid message TTL\n"},
		{"a broken number", Policy{Definition: one("max-length", 1.5)}, false, "1.5 is not a valid maximum length\n"},
		{"expires at once", Policy{Definition: one("expires", int64(0))}, false, "0 is not a valid queue expiry\n"},
		{"overflow", Policy{Definition: one("overflow", "drop-tail")}, true, "<<\"drop-tail\">> is not a valid overflow value\n"},
		{"null", Policy{Definition: one("max-length", nil)}, false, "null is not a valid maximum length\n"},
		{"a list", Policy{Definition: one("alternate-exchange", []any{"x", int64(300)})}, false, "[<<\"x\">>,300] is not a valid alternate exchange name\n"},
		{"an object", Policy{Definition: one("dead-letter-routing-key", map[string]any{"k": int64(1)})}, false, "#{<<\"k\">> => 1} is not a valid dead letter routing key\n"},
		{"max age", Policy{Definition: one("max-age", "7D")}, false, ""},
		{"max age of nothing", Policy{Definition: one("max-age", "0D")}, false, "<<\"0D\">> is not a valid max age\n"},
		{"filter size", Policy{Definition: one("stream-filter-size-bytes", int64(15))}, false, "15 is not a valid filter size. Valid range is 16-255\n"},
		{"retries", Policy{Definition: one("delayed-retry-type", "all")}, false, "delayed-retry-min is required when delayed-retry-type is all\n"},
		{"apply-to", Policy{ApplyTo: "quorum", Definition: one("expires", int64(1))}, false, "apply-to 'quorum' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'\n"},
		{"no expression", Policy{Pattern: "(", Definition: one("expires", int64(1))}, false, "pattern should be regular expression but is invalid: {\"missing closing parenthesis\",1}\n"},
		{"too long an expression", Policy{Pattern: strings.Repeat("a", 1025), Definition: one("expires", int64(1))}, false, "pattern must not exceed 1024 bytes\n"},
		{"all at once", Policy{Pattern: "[", ApplyTo: "x"}, false, "no policy provided\n" +
			"apply-to 'x' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'\n" +
			"pattern should be regular expression but is invalid: {\"missing terminating ] for character class\",1}\n"},
	} {
		err := Check(&c.p, c.operator)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || err.Error() != "Validation failed\n\n"+c.want):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
