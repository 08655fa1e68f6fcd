package alarm

import "testing"

func TestLimitsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		parse      func(string) (Limit, error)
		want       Limit
		total, of  uint64 // of a total
	}{
		{"a fraction", "0.4", ParseWatermark, Limit{Relative: true, Fraction: 0.4}, 1000, 400},
		{"all of it", "1", ParseWatermark, Limit{Relative: true, Fraction: 1}, 1000, 1000},
		{"nothing at all", "0", ParseWatermark, Limit{Relative: true}, 1000, 0},
		{"a size", "2GB", ParseWatermark, Limit{Bytes: 2e9}, 1000, 2e9},
		{"a binary size", "1GiB", ParseWatermark, Limit{Bytes: 1 << 30}, 1000, 1 << 30},
		{"a bare letter is decimal", "2M", ParseWatermark, Limit{Bytes: 2e6}, 1000, 2e6},
		{"plain bytes", "123456", ParseWatermark, Limit{Bytes: 123456}, 1000, 123456},
		{"disk: a size", "50MB", ParseDiskFreeLimit, DefaultDiskFreeLimit, 1000, 50e6},
		{"disk: a whole number is bytes", "1", ParseDiskFreeLimit, Limit{Bytes: 1}, 1000, 1},
		{"disk: a multiple of the memory", "1.5", ParseDiskFreeLimit, Limit{Relative: true, Fraction: 1.5}, 1000, 1500},
		{"disk: no limit", "0", ParseDiskFreeLimit, Limit{Relative: true}, 1000, 0},
	} {
		l, err := c.parse(c.text)
		if err != nil || l != c.want || l.Of(c.total) != c.of {
			t.Errorf("%s: %q is %+v, %d of %d, %v; want %+v, %d", c.name, c.text, l, l.Of(c.total), c.total, err, c.want, c.of)
		}
		if again, err := c.parse(l.String()); err != nil || again != l {
			t.Errorf("%s: %+v is written %q, which is read as %+v, %v", c.name, l, l, again, err)
		}
	}
}

func TestWhatIsNoLimitIsRefused(t *testing.T) {
	for _, text := range []string{"", "x", "-1", "1.5", "1XB", "99999999999GB", "1 GB", "NaN", "Inf"} {
		if l, err := ParseWatermark(text); err == nil {
			t.Errorf("watermark %q is %+v", text, l)
		}
	}
	for _, text := range []string{"", "x", "-1", "-1.0", "1XB", "1e99", "NaN"} {
		if l, err := ParseDiskFreeLimit(text); err == nil {
			t.Errorf("disk free limit %q is %+v", text, l)
		}
	}
}
