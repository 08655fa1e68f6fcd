package log

// judged is what was found out about a sealed segment.
type judged struct{}
