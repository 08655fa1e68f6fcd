package management

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// term writes a JSON value as Erlang prints it, which is how RabbitMQ's reasons show values.
func term(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return `<<"` + v + `">>`
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = term(v[i])
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, term(k)+" => "+term(v[k]))
		}
		return "#{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprint(v)
}

// atom writes a name as Erlang prints its atoms.
func atom(s string) string {
	if strings.Contains(s, "-") {
		return "'" + s + "'"
	}
	return s
}
