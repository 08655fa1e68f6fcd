package wire

// Greeting is what a client's first eight octets ask for.
type Greeting uint8

const (
	GreetingUnknown      Greeting = iota
	GreetingAMQP091               // AMQP 0-9-1, or 0-9, which is near enough
	GreetingAMQP10                // AMQP 1.0, with SASL or without
	GreetingOtherVersion          // a version of AMQP 0 newer than 0-9-1
	GreetingHTTP                  // an HTTP request on the AMQP port
	GreetingTLS                   // a TLS handshake on the plain port
)

// ProtocolHeader is what a client of AMQP 0-9-1 sends first, and what a server
// answers to a version that it does not speak.
const ProtocolHeader = "AMQP\x00\x00\x09\x01"

const (
	protocolIDSASL  = 3
	protocolHeader1 = "AMQP\x03\x01\x00\x00" // AMQP 1.0 with SASL
)

// ParseGreeting tells what the first eight octets of a connection are.
func ParseGreeting(h [8]byte) Greeting {
	switch {
	case string(h[:]) == ProtocolHeader, string(h[:]) == "AMQP\x01\x01\x00\x09":
		return GreetingAMQP091
	case string(h[:4]) == "GET ":
		return GreetingHTTP
	case h[0] == 0x16 && h[1] == 0x03 && h[5] == 0x01: // handshake record, client hello
		return GreetingTLS
	case string(h[:4]) != "AMQP":
		return GreetingUnknown
	case h[5] == 1 && h[6] == 0 && h[7] == 0 && (h[4] == 0 || h[4] == protocolIDSASL):
		return GreetingAMQP10
	case h[4] == 0 && h[5] == 0 && h[6] >= 9:
		return GreetingOtherVersion
	}
	return GreetingUnknown
}

// Refusal is the header that a server of 0-9-1 alone writes to a client whose
// greeting it refuses, before it closes the socket: RabbitMQ's answers, except
// that an AMQP 1.0 client learns what is spoken here.
func (g Greeting) Refusal() string {
	switch g {
	case GreetingOtherVersion, GreetingAMQP10:
		return ProtocolHeader
	default:
		return protocolHeader1
	}
}

// String names the greeting for the log.
func (g Greeting) String() string {
	switch g {
	case GreetingAMQP091:
		return "AMQP 0-9-1"
	case GreetingAMQP10:
		return "AMQP 1.0"
	case GreetingOtherVersion:
		return "unknown version of AMQP"
	case GreetingHTTP:
		return "HTTP request"
	case GreetingTLS:
		return "TLS handshake"
	default:
		return "unknown protocol"
	}
}
