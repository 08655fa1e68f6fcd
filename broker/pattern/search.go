package pattern

// node matches from at, and calls then with where it ended, again with the next
// way when then says no. It reports whether then said yes.
type node func(m *matcher, at int, then func(end int) bool) bool

// matcher is one match under way, over bytes.
type matcher struct {
	s        string
	captures []span
	steps    int
}

type span struct {
	from, to int
	set      bool
}

// spent counts a step, and says whether it was one too many.
func (m *matcher) spent() bool {
	m.steps++
	return m.steps > MaxSteps
}

func empty(_ *matcher, at int, then func(int) bool) bool { return then(at) }

func one(in func(byte) bool) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		return !m.spent() && at < len(m.s) && in(m.s[at]) && then(at+1)
	}
}

func sequence(a, b node) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		return a(m, at, func(end int) bool { return b(m, end, then) })
	}
}

func either(a, b node) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		return a(m, at, then) || !m.spent() && b(m, at, then)
	}
}

// assert matches nothing where ok holds.
func assert(ok func(s string, at int) bool) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		return !m.spent() && ok(m.s, at) && then(at)
	}
}

// repeat matches n from least to most times, most < 0 without end. A round that
// matches nothing ends it, for it could go on for ever.
func repeat(n node, least, most int, lazy bool) node {
	var round func(m *matcher, at, done int, then func(int) bool) bool
	round = func(m *matcher, at, done int, then func(int) bool) bool {
		if m.spent() {
			return false
		}
		again := func() bool {
			return (most < 0 || done < most) && n(m, at, func(end int) bool {
				return (end > at || done < least) && round(m, end, done+1, then)
			})
		}
		if done < least {
			return again()
		}
		if lazy {
			return then(at) || again()
		}
		return again() || then(at)
	}
	return func(m *matcher, at int, then func(int) bool) bool { return round(m, at, 0, then) }
}

func capture(n node, group int) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		return n(m, at, func(end int) bool {
			before := m.captures[group]
			m.captures[group] = span{at, end, true}
			if then(end) {
				return true
			}
			m.captures[group] = before
			return false
		})
	}
}

func backreference(group int) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		if m.spent() || group >= len(m.captures) || !m.captures[group].set {
			return false
		}
		text := m.s[m.captures[group].from:m.captures[group].to]
		return len(m.s)-at >= len(text) && m.s[at:at+len(text)] == text && then(at+len(text))
	}
}

// atomic takes the first way of n alone.
func atomic(n node) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		to := -1
		n(m, at, func(end int) bool { to = end; return true })
		return to >= 0 && then(to)
	}
}

func ahead(n node, want bool) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		found := n(m, at, func(int) bool { return true })
		return m.steps <= MaxSteps && found == want && then(at)
	}
}

// behind looks for a beginning from which n ends here: names are short.
func behind(n node, want bool) node {
	return func(m *matcher, at int, then func(int) bool) bool {
		found := false
		for from := at; from >= 0 && !found && !m.spent(); from-- {
			found = n(m, from, func(end int) bool { return end == at })
		}
		return m.steps <= MaxSteps && found == want && then(at)
	}
}
