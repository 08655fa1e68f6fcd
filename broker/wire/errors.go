package wire

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// replyTextMax is how long a reply text may be: it travels as a short string.
const replyTextMax = 255

// Error is a breach of the protocol or a refusal, as it is told to the client.
type Error struct {
	Code     uint16
	Text     string // the explanation, without the code's name
	ClassID  uint16 // the offending method, 0 and 0 when there is none
	MethodID uint16
	Cause    error // for the log; never sent
}

// Error returns the reply text, and the cause when there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.ReplyText() + ": " + e.Cause.Error()
	}
	return e.ReplyText()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ReplyText returns "NAME - explanation" as RabbitMQ writes it, at most 255 bytes.
func (e *Error) ReplyText() string {
	text := Name(e.Code)
	if e.Text != "" {
		text += " - " + e.Text
	}
	return cutReplyText(text)
}

// Close returns the method that tells the error to a client, and the channel it
// goes out on: connection.close on channel 0 for hard codes and for every error
// of channel 0, else channel.close.
func (e *Error) Close(channel uint16) (uint16, Method) {
	if channel == 0 || Hard(e.Code) {
		return 0, &ConnectionClose{ReplyCode: e.Code, ReplyText: e.ReplyText(), ClassID: e.ClassID, MethodID: e.MethodID}
	}
	return channel, &ChannelClose{ReplyCode: e.Code, ReplyText: e.ReplyText(), ClassID: e.ClassID, MethodID: e.MethodID}
}

// cutReplyText shortens as RabbitMQ does, to 252 bytes and three dots, but never
// inside a character: clients decode reply texts as UTF-8.
func cutReplyText(text string) string {
	if len(text) <= replyTextMax {
		return text
	}
	end := replyTextMax - len("...")
	for back := 0; back < utf8.UTFMax-1 && !utf8.RuneStart(text[end]); back++ {
		end--
	}
	return text[:end] + "..."
}

// frameFault is RabbitMQ's error for a frame that it cannot follow.
func frameFault(code uint16, frameType uint8, payload []byte, reason string) *Error {
	const snippet = 16
	which := "all"
	if len(payload) > snippet {
		which, payload = "first 16", payload[:snippet]
	}
	text := fmt.Sprintf("type %d, %s octets = %s", frameType, which, erlangText(payload))
	if reason != "" {
		text += ": " + reason
	}
	return &Error{Code: code, Text: text}
}

// Unexpected is the error for a frame that may not come in the state that its connection is in.
func (f Frame) Unexpected() error { return frameFault(UnexpectedFrame, f.Type, f.Payload, "") }

// erlangText prints octets as Erlang's ~p does: as text where all is printable.
func erlangText(b []byte) string {
	if len(b) == 0 {
		return "<<>>"
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return erlangOctets(b)
		}
	}
	return "<<" + strconv.Quote(string(b)) + ">>"
}

// erlangOctets prints octets as Erlang's ~w does. No more are printed than a reply text holds.
func erlangOctets(b []byte) string {
	out := []byte("<<")
	for i, c := range b {
		if i > 0 {
			out = append(out, ',')
		}
		if len(out) > replyTextMax {
			break
		}
		out = strconv.AppendUint(out, uint64(c), 10)
	}
	return string(append(out, ">>"...))
}
