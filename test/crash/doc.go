// Package crash proves that a crash loses nothing that was acknowledged.
//
// The real binary runs under load and is killed with SIGKILL at a random moment, started again on the
// same folder, and so on for many rounds; consumers are read all the while, as server-sent events, over a
// WebSocket and by long polls. test/witness sends, receives, reads and decides, by its own log. What
// a kill may repeat is at most what was out or unrecorded there: 2 × concurrency at each endpoint,
// answered at most 2 s before.
//
// In the same way an API is polled (examples/poll), and every item must have become its message, once for
// each content that a poll saw.
//
// A kill leaves the operating system's cache intact, so this says nothing of power loss.
//
//	go test ./test/crash                          20 rounds
//	go test ./test/crash -rounds 500 -timeout 1h
//
// The tests are the package; it has no other content.
package crash
