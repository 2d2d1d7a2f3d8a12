// Package laptop proves that nothing is lost on the way to a laptop.
//
// A server, and hark listen behind a TCP proxy of the test's, which forwards to a receiver here. Messages are
// published, and webhooks come in through a source, all the while. Every round makes a fault, sometimes two
// at once:
//
//	sleep     the listener is stopped with SIGSTOP: shortly, or for longer than the server waits for it
//	crash     the listener, or the server, is killed with SIGKILL, and started again
//	restart   the listener, or the server, ends well, and is started again
//	network   sockets are cut; connections are refused; bytes are swallowed and nobody is told; or they are
//	          kept back, and come through later
//	receiver  nothing listens where messages go, and what was being answered is cut off
//	laptop    both the receiver and the listener crash
//	takeover  another listener of this machine takes over, and is killed
//
// and now and then the receiver answers 500, or slowly. test/witness sends, and judges by its own log: what
// was acknowledged arrived, in the bytes that were sent, signed, and came twice around faults only. Beside
// that, what came first came in the order of the feed; every message has an attempt with the status that the
// receiver gave it; and what the listener prints are records, all of them, which tell of each loss of the
// connection, and of its end.
//
// One difference to an endpoint: a message that the receiver answers 500 is dealt with.
//
//	go test ./test/laptop                          a few rounds
//	go test ./test/laptop -rounds 100 -timeout 4h  with long sleeps
//	go test ./test/laptop -seed 7                  the same faults again
//
// A second test does the same with two nodes on one PostgreSQL, between which the laptop moves because the one
// that it is connected to is killed, ends, freezes, or is left. Without PostgreSQL it is skipped, and says so. A
// third has messages wait in their thousands.
//
// The tests are the package; it has no other content.
package laptop
