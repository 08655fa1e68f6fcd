package policy

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"1Y": 365 * day, "2M": 60 * day, "7D": 7 * day, "1h": time.Hour, "90m": 90 * time.Minute, "10s": 10 * time.Second,
		"007s": 7 * time.Second, "999999999999999999999Y": longest, "18446744073709551615D": longest,
		"": 0, "7": 0, "D": 0, "0D": 0, "7d": 0, "7H": 0, "-7D": 0, "+7D": 0, " 7D": 0, "7D ": 0, "7DD": 0, "1.5h": 0,
	} {
		if got, ok := Age(text); got != want || ok != (want > 0) {
			t.Errorf("%q: %v, %v, want %v", text, got, ok, want)
		}
	}
}
