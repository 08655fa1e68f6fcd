package alarm

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limit is a number of bytes, or a part of the memory that the node may use.
type Limit struct {
	Relative bool
	Fraction float64 // of the memory; if Relative
	Bytes    uint64  // if not
}

// The limits of a node that was not told otherwise: RabbitMQ's.
var (
	DefaultWatermark     = Limit{Relative: true, Fraction: 0.6}
	DefaultDiskFreeLimit = Limit{Bytes: 50_000_000}
)

// Of is the limit in bytes where memory is total.
func (l Limit) Of(total uint64) uint64 {
	if !l.Relative {
		return l.Bytes
	}
	return uint64(math.Min(l.Fraction*float64(total), math.MaxInt64))
}

// String is what ParseWatermark and ParseDiskFreeLimit read.
func (l Limit) String() string {
	if l.Relative {
		s := strconv.FormatFloat(l.Fraction, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	return strconv.FormatUint(l.Bytes, 10)
}

var errLimit = errors.New("not a limit")

// ParseWatermark reads a fraction of the memory from 0 to 1, or a number of bytes with a unit.
func ParseWatermark(s string) (Limit, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f <= 1 {
		return Limit{Relative: true, Fraction: f}, nil
	}
	if b, err := ParseBytes(s); err == nil {
		return Limit{Bytes: b}, nil
	}
	return Limit{}, fmt.Errorf("%w: %q is neither a fraction between 0.0 and 1.0 nor a size as in 2GB", errLimit, s)
}

// ParseDiskFreeLimit reads a number of bytes, or a multiple of the memory, which has a decimal point.
func ParseDiskFreeLimit(s string) (Limit, error) {
	if b, err := ParseBytes(s); err == nil && b > 0 {
		return Limit{Bytes: b}, nil
	} else if err == nil {
		return Limit{Relative: true}, nil // no limit, which the zero Limit is not
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f <= 1<<20 && strings.Contains(s, ".") {
		return Limit{Relative: true, Fraction: f}, nil
	}
	return Limit{}, fmt.Errorf("%w: %q is neither a size as in 50MB nor a multiple of the memory as in 1.0", errLimit, s)
}

// units are those of RabbitMQ's configuration, in lower case: since its version
// 3.13 a bare letter is decimal, as in Kubernetes.
var units = map[string]uint64{
	"":  1,
	"k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12, "p": 1e15, "pb": 1e15,
	"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30,
	"ti": 1 << 40, "tib": 1 << 40, "pi": 1 << 50, "pib": 1 << 50,
}

// ParseBytes reads a whole number with one of RabbitMQ's units, or none.
func ParseBytes(s string) (uint64, error) {
	digits := strings.TrimRightFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	unit, ok := units[strings.ToLower(s[len(digits):])]
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || !ok || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%w: %q is not a size as in 50MB", errLimit, s)
	}
	return n * unit, nil
}
