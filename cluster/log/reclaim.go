package log

// suspect notes that an entry was asked for that is not there.
func (l *Log) suspect(g *Group, index uint64) {}
