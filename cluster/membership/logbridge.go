package membership

import (
	"bytes"
	"net"
	"strings"
)

// logBridge takes memberlist's own log. Its lines are about single packets and
// probes, so they go to debug; what an operator has to know becomes a remark.
type logBridge struct{ remarks *remarks }

// notOurs are parts of what memberlist says about gossip that was sealed with
// another key, or not at all. It has no error values for them.
var notOurs = [...]string{
	"no installed keys could decrypt",
	"encryption is configured but remote state is not encrypted",
	"remote state is encrypted and encryption is not configured",
	"unacceptable label",
}

// wrongSecret says whether one of memberlist's texts means a difference of secrets.
func wrongSecret(text string) bool {
	for _, part := range notOurs {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// Write takes one line "[LEVEL] memberlist: text".
func (b *logBridge) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	from, hasSender := sender(text)
	if hasSender && wrongSecret(text) {
		b.remarks.warn("secret "+from, "refused: gossip that is not sealed with this cluster's secret", "from", from, "error", text)
	} else {
		b.remarks.logger.Debug(text)
	}
	return len(line), nil
}

// sender finds the host in memberlist's "from=host:port".
func sender(text string) (string, bool) {
	_, rest, ok := strings.Cut(text, "from=")
	if !ok {
		return "", false
	}
	addr, _, _ := strings.Cut(rest, " ")
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host, true
	}
	return addr, true
}
