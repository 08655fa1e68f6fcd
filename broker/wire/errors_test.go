package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestReplyText(t *testing.T) {
	tests := []struct {
		name string
		err  Error
		want string
	}{
		{"name and explanation", Error{Code: NotFound, Text: "no exchange 'x' in vhost '/'"}, "NOT_FOUND - no exchange 'x' in vhost '/'"},
		{"name alone", Error{Code: NoRoute}, "NO_ROUTE"},
		{"255 octets go out whole", Error{Code: NotFound, Text: strings.Repeat("x", 243)}, "NOT_FOUND - " + strings.Repeat("x", 243)},
		{"256 octets are cut to 252 and dots", Error{Code: NotFound, Text: strings.Repeat("x", 244)}, "NOT_FOUND - " + strings.Repeat("x", 240) + "..."},
		{"no character is cut in two", Error{Code: NotFound, Text: strings.Repeat("x", 239) + strings.Repeat("é", 20)}, "NOT_FOUND - " + strings.Repeat("x", 239) + "..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.err.ReplyText()
			if got != tt.want || len(got) > 255 || !utf8.ValidString(got) {
				t.Errorf("ReplyText = %q (%d), want %q", got, len(got), tt.want)
			}
		})
	}
}

func TestErrorCloses(t *testing.T) {
	tests := []struct {
		name       string
		code       uint16
		channel    uint16
		connection bool
	}{
		{"a soft error closes its channel", PreconditionFailed, 7, false},
		{"a hard error closes the connection", NotAllowed, 7, true},
		{"a soft error of channel 0 closes the connection", AccessRefused, 0, true},
		{"a code of no table closes the connection", 999, 7, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &Error{Code: tt.code, Text: "why", ClassID: 50, MethodID: 10}
			channel, m := e.Close(tt.channel)
			if _, connection := m.(*ConnectionClose); connection != tt.connection || connection != (channel == 0) {
				t.Errorf("Close(%d) of %d = %d, %T", tt.channel, tt.code, channel, m)
			}
		})
	}
}

func TestErrorWraps(t *testing.T) {
	err := error(&Error{Code: InternalError, Text: "t", Cause: io.ErrClosedPipe})
	if !errors.Is(err, io.ErrClosedPipe) || err.Error() != "INTERNAL_ERROR - t: io: read/write on closed pipe" {
		t.Errorf("%v", err)
	}
}

func TestHardCodes(t *testing.T) { // features A1, A2
	for _, code := range []uint16{311, 312, 313, 403, 404, 405, 406} {
		if Hard(code) {
			t.Errorf("%d %s is soft", code, Name(code))
		}
	}
	for _, code := range []uint16{320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541} {
		if !Hard(code) {
			t.Errorf("%d %s is hard", code, Name(code))
		}
	}
}

func TestParseGreeting(t *testing.T) { // features A7
	tests := []struct {
		name    string
		header  string
		want    Greeting
		refusal string
	}{
		{"0-9-1", "AMQP\x00\x00\x09\x01", GreetingAMQP091, ""},
		{"0-9", "AMQP\x01\x01\x00\x09", GreetingAMQP091, ""},
		{"a later 0-9", "AMQP\x00\x00\x09\x02", GreetingOtherVersion, ProtocolHeader},
		{"0-10", "AMQP\x00\x00\x0a\x00", GreetingOtherVersion, ProtocolHeader},
		{"0-8", "AMQP\x01\x01\x08\x00", GreetingUnknown, protocolHeader1},
		{"1.0", "AMQP\x00\x01\x00\x00", GreetingAMQP10, ProtocolHeader},
		{"1.0 with SASL", "AMQP\x03\x01\x00\x00", GreetingAMQP10, ProtocolHeader},
		{"1.0 with TLS", "AMQP\x02\x01\x00\x00", GreetingUnknown, protocolHeader1},
		{"HTTP", "GET / HT", GreetingHTTP, protocolHeader1},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01", GreetingTLS, protocolHeader1},
		{"noise", "\x00\x00\x00\x00\x00\x00\x00\x00", GreetingUnknown, protocolHeader1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ParseGreeting([8]byte([]byte(tt.header)))
			if got != tt.want {
				t.Errorf("ParseGreeting(%q) = %v, want %v", tt.header, got, tt.want)
			}
			if tt.refusal != "" && got.Refusal() != tt.refusal {
				t.Errorf("Refusal = %q, want %q", got.Refusal(), tt.refusal)
			}
		})
	}
}
