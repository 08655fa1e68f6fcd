package pattern

import (
	"strconv"
	"strings"
)

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
func isWord(b byte) bool {
	return isDigit(b) || b == '_' || toLower(b) >= 'a' && toLower(b) <= 'z'
}
func isSpace(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

// kinds are the classes that have a letter or a POSIX name.
var kinds = map[string]func(byte) bool{
	"d": isDigit, "w": isWord, "s": isSpace,
	"h":     func(b byte) bool { return b == ' ' || b == '\t' },
	"digit": isDigit, "word": isWord, "space": isSpace,
	"blank": func(b byte) bool { return b == ' ' || b == '\t' },
	"alpha": func(b byte) bool { return isWord(b) && !isDigit(b) && b != '_' },
	"alnum": func(b byte) bool { return isWord(b) && b != '_' },
	"upper": func(b byte) bool { return b >= 'A' && b <= 'Z' },
	"lower": func(b byte) bool { return b >= 'a' && b <= 'z' },
	"punct": func(b byte) bool { return b > ' ' && b < 0x7f && (!isWord(b) || b == '_') },
	"cntrl": func(b byte) bool { return b < ' ' || b == 0x7f },
	"graph": func(b byte) bool { return b > ' ' && b < 0x7f },
	"print": func(b byte) bool { return b >= ' ' && b < 0x7f },
	"xdigit": func(b byte) bool {
		return isDigit(b) || toLower(b) >= 'a' && toLower(b) <= 'f'
	},
	"ascii": func(b byte) bool { return b < 0x80 },
}

func not(in func(byte) bool) func(byte) bool { return func(b byte) bool { return !in(b) } }

// escape parses what follows a backslash outside of a class.
func (p *parser) escape() (n node, repeatable bool, err error) {
	if p.at == len(p.s) {
		return nil, false, p.fault(`\ at end of pattern`)
	}
	switch c := p.s[p.at]; {
	case c >= '1' && c <= '9':
		end := p.at
		for end < len(p.s) && isDigit(p.s[end]) {
			end++
		}
		group, err := strconv.Atoi(p.s[p.at:end])
		if p.at = end; err != nil || group > 99 {
			return nil, false, p.fault("reference to non-existent subpattern")
		}
		return backreference(group), true, nil
	case p.take("Q"):
		text, _, closed := strings.Cut(p.s[p.at:], `\E`)
		if p.at += len(text); closed {
			p.at += 2
		}
		n = empty
		for i := range len(text) {
			n = sequence(n, one(p.literal(text[i])))
		}
		return n, true, nil
	case p.take("E"):
		return empty, false, nil
	case p.take("b"):
		return assert(atWordEdge), true, nil
	case p.take("B"):
		return assert(func(s string, at int) bool { return !atWordEdge(s, at) }), true, nil
	case p.take("A"), p.take("G"):
		return assert(func(_ string, at int) bool { return at == 0 }), true, nil
	case p.take("z"):
		return assert(func(s string, at int) bool { return at == len(s) }), true, nil
	case p.take("Z"):
		return assert(func(s string, at int) bool { return at == len(s) || at == len(s)-1 && s[at] == '\n' }), true, nil
	}
	in, c, err := p.escaped()
	if in == nil {
		in = p.literal(c)
	}
	return one(in), true, err
}

func atWordEdge(s string, at int) bool {
	return (at > 0 && isWord(s[at-1])) != (at < len(s) && isWord(s[at]))
}

// escaped parses what means the same inside of a class and outside: a kind of
// byte (in is not nil), or one byte.
func (p *parser) escaped() (in func(byte) bool, c byte, err error) {
	if p.at == len(p.s) {
		return nil, 0, p.fault(`\ at end of pattern`)
	}
	c = p.s[p.at]
	p.at++
	if kind := kinds[string(c)]; kind != nil {
		return kind, 0, nil
	}
	if kind := kinds[string(toLower(c))]; kind != nil && c != toLower(c) {
		return not(kind), 0, nil
	}
	switch c {
	case 'n':
		return nil, '\n', nil
	case 't':
		return nil, '\t', nil
	case 'r':
		return nil, '\r', nil
	case 'f':
		return nil, '\f', nil
	case 'e':
		return nil, 0x1b, nil
	case 'a':
		return nil, 0x07, nil
	case '0':
		return nil, 0, nil
	case 'x':
		return p.hex()
	}
	if isWord(c) && c != '_' {
		return nil, 0, p.fault(`unrecognized character follows \`)
	}
	return nil, c, nil
}

func (p *parser) hex() (func(byte) bool, byte, error) {
	text := p.s[p.at:min(p.at+2, len(p.s))]
	size := len(text)
	if p.take("{") {
		text, _, _ = strings.Cut(p.s[p.at:], "}")
		size = len(text) + 1
	}
	n, err := strconv.ParseUint(text, 16, 8)
	if err != nil {
		return nil, 0, p.fault(`character code point value in \x{} or \o{} is too large`)
	}
	p.at += size
	return nil, byte(n), nil
}

// class parses what follows an opening bracket.
func (p *parser) class() (func(byte) bool, error) {
	var set [256]bool
	negated := p.take("^")
	for first := true; ; first = false {
		if p.at >= len(p.s) {
			return nil, p.fault("missing terminating ] for character class")
		}
		if !first && p.take("]") {
			break
		}
		in, c, err := p.member()
		if err != nil {
			return nil, err
		}
		last := c
		if in == nil && p.at+1 < len(p.s) && p.s[p.at] == '-' && p.s[p.at+1] != ']' {
			p.at++
			if in, last, err = p.member(); err != nil {
				return nil, err
			}
			if in != nil || last < c {
				return nil, p.fault("range out of order in character class")
			}
		}
		for b := range set {
			set[b] = set[b] || in != nil && in(byte(b)) || in == nil && byte(b) >= c && byte(b) <= last
		}
	}
	if p.fold {
		for b := byte('a'); b <= 'z'; b++ {
			either := set[b] || set[b-'a'+'A']
			set[b], set[b-'a'+'A'] = either, either
		}
	}
	return func(b byte) bool { return set[b] != negated }, nil
}

// member parses one member of a class: a kind of byte (in is not nil), or one byte.
func (p *parser) member() (in func(byte) bool, c byte, err error) {
	if p.at >= len(p.s) {
		return nil, 0, p.fault("missing terminating ] for character class")
	}
	if p.take("[:") {
		name, _, closed := strings.Cut(p.s[p.at:], ":]")
		if closed && !strings.Contains(name, "]") {
			kind := kinds[strings.TrimPrefix(name, "^")]
			if kind == nil || len(strings.TrimPrefix(name, "^")) == 1 {
				return nil, 0, p.fault("unknown POSIX class name")
			}
			p.at += len(name) + 2
			if strings.HasPrefix(name, "^") {
				kind = not(kind)
			}
			return kind, 0, nil
		}
		p.at--
		return nil, '[', nil
	}
	c = p.s[p.at]
	p.at++
	if c != '\\' {
		return nil, c, nil
	}
	if p.take("b") {
		return nil, '\b', nil
	}
	return p.escaped()
}
