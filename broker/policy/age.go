package policy

import (
	"strconv"
	"time"
)

// longest is what an age means that is longer: nobody will live to see it.
const longest = 100 * 366 * 24 * time.Hour

var units = map[byte]time.Duration{
	'Y': 365 * 24 * time.Hour, 'M': 30 * 24 * time.Hour, 'D': 24 * time.Hour,
	'h': time.Hour, 'm': time.Minute, 's': time.Second,
}

// Age reads an age as RabbitMQ's streams have it: a number above 0 and one of the units
// Y, M, D, h, m and s.
func Age(text string) (age time.Duration, ok bool) {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	if end == 0 || end != len(text)-1 {
		return 0, false
	}
	unit, known := units[text[end]]
	n, err := strconv.ParseUint(text[:end], 10, 64)
	switch {
	case !known || n == 0:
		return 0, false
	case err != nil || n > uint64(longest/unit):
		return longest, true
	}
	return time.Duration(n) * unit, true
}
