// Package sim runs whole nodes in virtual time, breaks what they stand on, and
// checks what must always hold (design §7).
//
// A Cluster is three machines in one testing/synctest bubble: real nodes of
// cmd/node over a network, gossip and disks in memory. Machines are cut off,
// lose power, lose processes, get slow or hanging disks and slow links, by hand
// or by a schedule drawn from a seed. Publishers, consumers and others who change
// definitions use them meanwhile through AMQP, and a History notes what they were
// told. When all is whole again everything must drain; then the nodes' logs are
// read back and held against what the clients saw.
//
// A seed fixes the faults and what the clients want to do, not the order of
// goroutines: a seed that failed once may need several runs to fail again.
package sim
