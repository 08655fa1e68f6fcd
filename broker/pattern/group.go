package pattern

import "strings"

// group parses what follows an opening parenthesis.
func (p *parser) group() (n node, repeatable bool, err error) {
	fold, dotAll, lines := p.fold, p.dotAll, p.lines
	restore := func() { p.fold, p.dotAll, p.lines = fold, dotAll, lines }
	wrap := func(n node) node { return n }
	switch {
	case p.take("?:"):
	case p.take("?>"):
		wrap = atomic
	case p.take("?="):
		wrap = func(n node) node { return ahead(n, true) }
	case p.take("?!"):
		wrap = func(n node) node { return ahead(n, false) }
	case p.take("?<="):
		wrap = func(n node) node { return behind(n, true) }
	case p.take("?<!"):
		wrap = func(n node) node { return behind(n, false) }
	case p.take("?#"):
		_, rest, closed := strings.Cut(p.s[p.at:], ")")
		if p.at = len(p.s) - len(rest); !closed {
			return nil, false, p.fault("missing ) after (?# comment")
		}
		return empty, false, nil
	case p.take("?P<"), p.take("?<"), p.take("?'"):
		end := strings.IndexAny(p.s[p.at:], ">'")
		if end <= 0 {
			return nil, false, p.fault("subpattern name expected")
		}
		p.at += end + 1
		wrap = p.numbered()
	case p.take("?"):
		scoped, err := p.flags()
		if err != nil || !scoped {
			return empty, false, err // they hold to the end of the group around
		}
	default:
		wrap = p.numbered()
	}
	n, err = p.alternatives()
	if err == nil && !p.take(")") {
		err = p.fault("missing closing parenthesis")
	}
	restore()
	if err != nil {
		return nil, false, err
	}
	return wrap(n), true, nil
}

func (p *parser) numbered() func(node) node {
	p.groups++
	group := p.groups
	return func(n node) node { return capture(n, group) }
}

// flags parses (?i), for what follows, and the beginning of (?i:...).
func (p *parser) flags() (scoped bool, err error) {
	on := true
	for p.at < len(p.s) {
		c := p.s[p.at]
		p.at++
		switch c {
		case 'i':
			p.fold = on
		case 's':
			p.dotAll = on
		case 'm':
			p.lines = on
		case '-':
			on = false
		case ':':
			return true, nil
		case ')':
			return false, nil
		default:
			return false, p.fault("unrecognized character after (? or (?-")
		}
	}
	return false, p.fault("missing closing parenthesis")
}
