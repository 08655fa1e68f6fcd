package scenarios

// Difference is what Warren does otherwise than every RabbitMQ, 3.10 and 4.x, on
// purpose. Whatever else a transcript differs in is a fault.
type Difference struct {
	Row              string // which asks for it
	RabbitMQ, Warren string
}

// Differences are all of them: those of section Q, and those that another row
// asks for by itself.
func Differences() []Difference {
	return []Difference{
		{"Q1", "4.x refuses a quorum queue that is exclusive, auto-delete, not durable, named by the server or has priorities, and if-unused, if-empty, exclusive consumers and global prefetch of it",
			"accepts all of it, with the meaning that it has for classic queues"},
		{"Q2", "4.3 closes the connection of whoever declares a queue that is neither durable nor exclusive, with 541", "accepts it; it lives in the memory of one node"},
		{"Q3", "4.3 takes basic.qos with global for one without", "limits all consumers of the channel together"},
		{"Q4", "basic.recover without requeue and channel.flow off close the connection with 540", "implements both"},
		{"Q5", "an alarm at one node stops all publishers of the cluster", "stops those whose queues are short of room"},
		{"Q6", "a message expires only at the head of its queue", "messages expire wherever they are"},
		{"Q7", "without a majority publishers wait for ever, and declares for 30 s", "answers after a bounded time, with a nack or with 541 and the reason"},
		{"Q8", "dead letters may get lost unless x-dead-letter-strategy and x-overflow ask otherwise", "keeps a message in its queue until all targets have its dead letter"},
		{"Q9", "counts every return against a delivery limit before 4.3, rejections alone since", "has both by --delivery-count-semantics, for x-queue-type=quorum as 4.3 does by default"},
		{"Q10", "4.1 and later refuse a frame_max below 8192", "accepts 4096 and more"},
		{"A8", "drops the socket when a frame before tune is larger than 8192 octets", "tells with 501 before"},
		{"A10", "drops the socket, or tells something else, when a method is unknown or its table cannot be read", "tells with 503 which method it does not know, with 501 what it cannot read"},
		{"B5", "drops the socket after three seconds when a mechanism is unknown or its response malformed", "tells with 503 or 502"},
		{"B21", "drops the socket after three seconds when a method comes before its turn in the handshake", "tells with 504, or 505 for a frame of a channel"},
		{"E13", "refuses classic queues the arguments of quorum queues, such as x-delivery-limit and x-dead-letter-strategy", "accepts them on every queue, where they mean the same"},
		{"H11", "4.3 has a consumer timeout for quorum queues alone", "has it on every queue, as 4.3 on quorum queues"},
		{"K14", "a permission that was revoked works on as long as a channel remembers it", "is revoked at once"},
	}
}
