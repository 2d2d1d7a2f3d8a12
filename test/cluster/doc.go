// Package cluster proves that several nodes on one PostgreSQL lose nothing that was acknowledged, and
// that no two of them ever deliver for the same endpoint.
//
// Three nodes run as processes on a throwaway PostgreSQL whose commits wait for the disk, each behind a
// TCP proxy of its own, and all three are published to. Every round makes a fault, sometimes two at once:
//
//	kill     a node is killed with SIGKILL, and started again
//	freeze   a node is stopped with SIGSTOP, mostly for longer than its lease, and wakes up
//	database PostgreSQL is stopped as "-m immediate" does, and recovers
//	cut      a node is cut from the database: refused, or its bytes are swallowed, or they are kept back
//	         and come through later; for longer or shorter than its lease
//
// Meanwhile the configuration changes: what is created or edited through one node must count at once
// for what is published through another; and consumers are read all the while, through one node after the
// other. test/witness sends, receives, reads and decides, by its own log; at the end it reads through the API what was recorded, which shows whether two owners have both settled.
//
// A second test kills nodes while an application writes into the outbox: what it commits is one message
// each, and what it rolls back is none.
//
//	go test ./test/cluster                          a few rounds
//	go test ./test/cluster -rounds 200 -timeout 2h
//
// Where there is no PostgreSQL the test is skipped, and says so. The tests are the package; it has no
// other content.
package cluster
