package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warrenmq/warren/broker/pattern"
)

// MaxPatternBytes bounds a pattern, as in RabbitMQ.
const MaxPatternBytes = 1024

// Check refuses a policy, or an operator policy, that RabbitMQ refuses; the
// error's text is the one that its API and its tools show.
func Check(p *Policy, operator bool) error {
	var faults []string
	for _, fault := range [...]string{checkDefinition(p.Definition, operator), checkApplyTo(p.ApplyTo), checkPattern(p.Pattern)} {
		if fault != "" {
			faults = append(faults, fault+"\n")
		}
	}
	if faults == nil {
		return nil
	}
	return fault("Validation failed\n\n" + strings.Join(faults, ""))
}

// fault is an error whose text is RabbitMQ's, capitals and line ends included.
type fault string

func (f fault) Error() string { return string(f) }

func checkPattern(p string) string {
	if len(p) > MaxPatternBytes {
		return fmt.Sprintf("pattern must not exceed %d bytes", MaxPatternBytes)
	}
	var fault *pattern.Error
	if _, err := pattern.Compile(p); errors.As(err, &fault) {
		return fmt.Sprintf("pattern should be regular expression but is invalid: {%q,%d}", fault.Text, fault.At)
	}
	return ""
}

func checkApplyTo(a ApplyTo) string {
	switch a {
	case "", All, Queues, ClassicQueues, QuorumQueues, Streams, Exchanges:
		return ""
	}
	return fmt.Sprintf("apply-to '%s' unrecognised; should be one of: 'queues', 'classic_queues', "+
		" 'quorum_queues', 'streams', 'exchanges', or 'all'", a)
}

// checkDefinition looks at the values first, then for keys that nobody knows.
func checkDefinition(definition map[string]any, operator bool) string {
	if len(definition) == 0 {
		return "no policy provided"
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(definition)) {
		k, ok := keys[name]
		if !ok || operator && !k.operator {
			unknown = append(unknown, fmt.Sprintf("{%s,%s}", BinaryTerm(name), Term(definition[name])))
			continue
		}
		if k.check == nil {
			continue
		}
		if fault := k.check(definition[name]); fault != "" {
			return fault
		}
	}
	if fault := checkRetry(definition); fault != "" {
		return fault
	}
	if unknown != nil {
		return "[" + strings.Join(unknown, ",") + "] are not recognised policy settings"
	}
	return ""
}

// checkRetry holds the keys of delayed retries against each other.
func checkRetry(definition map[string]any) string {
	kind, typed := definition["delayed-retry-type"].(string)
	least, hasLeast := whole(definition["delayed-retry-min"])
	most, hasMost := whole(definition["delayed-retry-max"])
	switch {
	case typed && kind != "disabled" && !hasLeast:
		return "delayed-retry-min is required when delayed-retry-type is " + kind
	case hasLeast && hasMost && least > most:
		return fmt.Sprintf("delayed-retry-max (%d) must not be smaller than delayed-retry-min (%d)", most, least)
	}
	return ""
}
