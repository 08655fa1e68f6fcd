package pattern

import (
	"strconv"
	"strings"
)

const (
	maxDepth  = 100
	maxRepeat = 65535
)

// parser turns an expression into nodes.
type parser struct {
	s      string
	at     int
	depth  int
	groups int
	fold   bool // (?i)
	dotAll bool // (?s)
	lines  bool // (?m)
}

func (p *parser) parse() (node, error) {
	n, err := p.alternatives()
	if err == nil && p.at < len(p.s) {
		err = p.fault("unmatched closing parenthesis")
	}
	return n, err
}

func (p *parser) fault(text string) error { return &Error{Text: text, At: p.at} }

// take moves over prefix if it is there.
func (p *parser) take(prefix string) bool {
	if strings.HasPrefix(p.s[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

func (p *parser) alternatives() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fault("parentheses are too deeply nested")
	}
	defer func() { p.depth-- }()
	all, err := p.sequence()
	for err == nil && p.take("|") {
		var next node
		next, err = p.sequence()
		all = either(all, next)
	}
	return all, err
}

func (p *parser) sequence() (node, error) {
	var all node = empty
	for p.at < len(p.s) && p.s[p.at] != '|' && p.s[p.at] != ')' {
		n, repeatable, err := p.atom()
		if err == nil && repeatable {
			n, err = p.quantified(n)
		}
		if err != nil {
			return nil, err
		}
		all = sequence(all, n)
	}
	return all, nil
}

// atom parses what a quantifier may follow, or an assertion, which none may.
func (p *parser) atom() (n node, repeatable bool, err error) {
	c := p.s[p.at]
	p.at++
	switch c {
	case '(':
		return p.group()
	case '[':
		in, err := p.class()
		return one(in), true, err
	case '.':
		dotAll := p.dotAll
		return one(func(b byte) bool { return dotAll || b != '\n' }), true, nil
	case '^':
		lines := p.lines
		return assert(func(s string, at int) bool { return at == 0 || lines && s[at-1] == '\n' }), true, nil
	case '$':
		lines := p.lines
		return assert(func(s string, at int) bool {
			return at == len(s) || s[at] == '\n' && (lines || at == len(s)-1)
		}), true, nil
	case '*', '+', '?':
		p.at--
		return nil, false, p.fault("quantifier does not follow a repeatable item")
	case '\\':
		return p.escape()
	default:
		return one(p.literal(c)), true, nil
	}
}

func (p *parser) literal(c byte) func(byte) bool {
	if p.fold {
		lower := toLower(c)
		return func(b byte) bool { return toLower(b) == lower }
	}
	return func(b byte) bool { return b == c }
}

func toLower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// quantified parses the quantifiers that follow n.
func (p *parser) quantified(n node) (node, error) {
	least, most, ok, err := p.quantifier()
	if !ok || err != nil {
		return n, err
	}
	switch {
	case p.take("+"):
		n = atomic(repeat(n, least, most, false))
	default:
		n = repeat(n, least, most, p.take("?"))
	}
	if _, _, again, err := p.quantifier(); again || err != nil {
		return nil, p.fault("quantifier does not follow a repeatable item")
	}
	return n, nil
}

func (p *parser) quantifier() (least, most int, ok bool, err error) {
	switch {
	case p.take("*"):
		return 0, -1, true, nil
	case p.take("+"):
		return 1, -1, true, nil
	case p.take("?"):
		return 0, 1, true, nil
	case p.at < len(p.s) && p.s[p.at] == '{':
		return p.counts()
	}
	return 0, 0, false, nil
}

// counts parses {n}, {n,} and {n,m}; any other brace is a literal one.
func (p *parser) counts() (least, most int, ok bool, err error) {
	text, _, closed := strings.Cut(p.s[p.at+1:], "}")
	from, to, ranged := strings.Cut(text, ",")
	if !closed || !digits(from) || to != "" && !digits(to) {
		return 0, 0, false, nil
	}
	p.at += len(text) + 2
	least, err = strconv.Atoi(from)
	switch most = least; {
	case ranged && to == "":
		most = -1
	case ranged && err == nil:
		most, err = strconv.Atoi(to)
	}
	switch {
	case err != nil || least > maxRepeat || most > maxRepeat:
		return 0, 0, false, p.fault("number too big in {} quantifier")
	case most >= 0 && most < least:
		return 0, 0, false, p.fault("numbers out of order in {} quantifier")
	}
	return least, most, true, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
