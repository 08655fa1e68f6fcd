package pattern

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "anything", true},
		{"^$", "anything", false},
		{"a.c", "xabcx", true},
		{`^(?!amq\.).*`, "orders", true},
		{`^(?!amq\.).*`, "amq.gen-1", false},
		{`^(?!amq\.|sys\.)`, "sys.log", false},
		{`^(?!.*\.dlq$).*$`, "orders.dlq", false},
		{`^(?!.*\.dlq$).*$`, "orders.dlq.x", true},
		{`^(?=.*eu)(?=.*prod)`, "prod.eu.orders", true},
		{`^(?=.*eu)(?=.*prod)`, "prod.us.orders", false},
		{`(?<=orders)\.retry`, "orders.retry", true},
		{`(?<!orders)\.retry`, "orders.retry", false},
		{`(?<!orders)\.retry`, "payments.retry", true},
		{`^(\w+)\.\1$`, "a1.a1", true},
		{`^(\w+)\.\1$`, "a1.a2", false},
		{`^(?>a+)ab$`, "aaab", false},
		{`^a++b$`, "aaab", true},
		{`^a{2,3}(?!a)`, "aaaa", false},
		{`^a{2}(?!a)`, "aab", true},
		{`^(?i)ORDERS(?!x)`, "orders", true},
		{`^(?i:o)RDERS(?!x)`, "Orders", false},
		{`^[^.]+(?!\.)$`, "abc", true},
		{`^[[:alpha:]]+(?=\d)`, "abc1", true},
		{`^[\w-]+(?=\.)`, "a-b.c", true},
		{`^[]x]+(?!y)$`, "]x", true},
		{`^\Qa.b\E(?!c)`, "a.b", true},
		{`^\Qa.b\E(?!c)`, "axb", false},
		{`^\x61\x{62}(?!c)`, "ab", true},
		{`^q{(?!x)`, "q{", true},
		{`\bb(?!c)`, "a b", true},
		{`a\Z(?!b)`, "a\n", true},
		{`^(?:a*)*(?!b)$`, "aaa", true},
		{`^(?:a|(?=b))+b$`, "aab", true},
	} {
		p, err := Compile(c.pattern)
		if err != nil {
			t.Errorf("Compile(%q): %v", c.pattern, err)
			continue
		}
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestWhatIsNoExpressionIsRefused(t *testing.T) {
	for _, pattern := range []string{"(", ")", "a(b", "[a", "*", "a**b(?!c)", "(?<=a", `\`, "a{2,1}", "[b-a]", "(?y)", `(?!\k)`, "[[:nothing:]]", strings.Repeat("(", 200)} {
		_, err := Compile(pattern)
		if fault := (*Error)(nil); !errors.As(err, &fault) || fault.Text == "" || fault.At > len(pattern) {
			t.Errorf("Compile(%q) = %v, want *Error", pattern, err)
		}
	}
}

func TestAMatchThatWouldTakeForEverDoesNot(t *testing.T) {
	name := strings.Repeat("a", 255)
	for _, pattern := range []string{`^(a+)+(?!a)b`, `(?!x)(a|aa)+$b`, `^(a*)*\1b`, `(?<=(a+)+)b`, `(?!b)((a{0,65535}){0,65535}){0,65535}b`} {
		p, err := Compile(pattern)
		if err != nil {
			t.Fatalf("Compile(%q): %v", pattern, err)
		}
		begin := time.Now()
		if p.Match(name) {
			t.Errorf("%q matches %d times a", pattern, len(name))
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%q took %v", pattern, took)
		}
	}
}

// TestBothEnginesAgree holds the searching engine against Go's where both know the pattern.
func TestBothEnginesAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	parts := []string{"a", "b", ".", "[ab]", "[^a]", "(", ")", "|", "*", "+", "?", "{1,2}", "^", "$", `\w`, `\.`, "(?:", "*?", "a{2}", `\b`}
	tried := 0
	for range 40_000 {
		var pattern strings.Builder
		for range rng.IntN(8) {
			pattern.WriteString(parts[rng.IntN(len(parts))])
		}
		linear, err := regexp.Compile(pattern.String())
		if err != nil {
			continue
		}
		p := parser{s: pattern.String()}
		search, err := p.parse()
		if err != nil {
			continue // more ways to write nonsense are accepted there: a**, ^*
		}
		tried++
		for range 4 {
			name := strings.Map(func(rune) rune { return rune("ab.c"[rng.IntN(4)]) }, "......"[:rng.IntN(7)])
			if got, want := (&Pattern{search: search, groups: p.groups}).Match(name), linear.MatchString(name); got != want {
				t.Fatalf("%q matches %q: %v, want %v", pattern.String(), name, got, want)
			}
		}
	}
	if tried < 1000 {
		t.Fatalf("only %d patterns were tried", tried)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`^(?!amq\.).*`, `(a)\1`, `[[:alpha:]-z]`, `a{1,}?+`, `(?<n>x)(?i-m:y)`} {
		f.Add(seed, "amq.direct")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 1024 || len(name) > 255 {
			return
		}
		p := parser{s: pattern}
		if n, err := p.parse(); err == nil {
			(&Pattern{search: n, groups: p.groups}).Match(name)
		}
	})
}
