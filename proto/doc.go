// Package pb is what nodes say to each other, generated from the .proto files
// beside it: the services between nodes, and the entries and snapshots of the meta group.
//
// Only cluster's packages use it, and hand plain values on. Its messages come
// from other nodes: whoever takes one checks it before believing it.
package pb
