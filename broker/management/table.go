package management

import (
	"math"
	"time"
	"unicode/utf8"

	"github.com/warrenmq/warren/broker/topology"
	"github.com/warrenmq/warren/broker/wire"
)

// table turns an AMQP table into what JSON can say, as RabbitMQ does: times are
// seconds, bytes are text.
func table(t map[string]any) map[string]any {
	out := make(map[string]any, len(t))
	for k, v := range t {
		out[k] = value(v)
	}
	return out
}

func value(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return table(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = value(v[i])
		}
		return out
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return v // base64
	case time.Time:
		return v.Unix()
	case wire.Decimal:
		return float64(v.Value) / math.Pow10(int(v.Scale))
	case topology.Decimal:
		return float64(v.Value) / math.Pow10(int(v.Scale))
	case float32:
		return finite(float64(v))
	case float64:
		return finite(v)
	}
	return v
}

// finite: JSON knows no infinity and no NaN.
func finite(f float64) any {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return f
}
