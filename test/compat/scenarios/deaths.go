package scenarios

import (
	"slices"
	"strings"
)

// deathsSource is where what upgradeDeaths does comes from.
const deathsSource = "mc_amqpl.erl and mc.erl (v4.x): x-last-death-*, original-expiration first, fields in the order of the record, headers sorted"

// upgradeDeaths rewrites the headers of a dead-lettered message as RabbitMQ 3.10
// prints them to those of 4.x: x-last-death-* beside the first, the fields of an
// entry in one order, headers sorted by name.
func upgradeDeaths(line string) string {
	before, rest, ok := strings.Cut(line, " headers={")
	if !ok || !strings.Contains(rest, "x-death=[") {
		return line
	}
	end := closing(rest, '}')
	headers := fields(rest[:end])
	for i, h := range headers {
		if !strings.HasPrefix(h, "x-death=[") {
			continue
		}
		entries := fields(strings.TrimSuffix(strings.TrimPrefix(h, "x-death=["), "]"))
		for j, e := range entries {
			entries[j] = "{" + strings.Join(inOrder(fields(strings.Trim(e, "{}"))), ", ") + "}"
		}
		headers[i] = "x-death=[" + strings.Join(entries, ", ") + "]"
		for _, f := range fields(strings.Trim(entries[0], "{}")) {
			switch name, value, _ := strings.Cut(f, "="); name {
			case "exchange", "queue", "reason":
				headers = append(headers, "x-last-death-"+name+"="+value)
			}
		}
	}
	slices.SortFunc(headers, func(a, b string) int {
		x, _, _ := strings.Cut(a, "=")
		y, _, _ := strings.Cut(b, "=")
		return strings.Compare(x, y)
	})
	return before + " headers={" + strings.Join(headers, ", ") + rest[end:]
}

// inOrder puts the fields of an entry of x-death in 4.x's order.
func inOrder(entry []string) (sorted []string) {
	for _, name := range []string{"original-expiration", "count", "reason", "queue", "time", "exchange", "routing-keys"} {
		for _, f := range entry {
			if strings.HasPrefix(f, name+"=") {
				sorted = append(sorted, f)
			}
		}
	}
	return sorted
}

// fields splits what stands between brackets at its own commas.
func fields(s string) (list []string) {
	depth, from, quoted := 0, 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			list = append(list, s[from:i])
			from = i + 2
		}
	}
	if from < len(s) {
		list = append(list, s[from:])
	}
	return list
}

// closing is where the bracket ends that was opened before s.
func closing(s string, bracket byte) int {
	depth, quoted := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case quoted:
		case c == bracket && depth == 0:
			return i
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return len(s)
}
