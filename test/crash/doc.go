// Package crash proves that a crash loses nothing that was acknowledged.
//
// A publisher sends messages to the real binary, a receiver takes the deliveries, and both write
// down what they saw in a log of their own, fsynced. The binary is killed with SIGKILL at a random
// moment, started again on the same folder, and so on for many rounds. Then a checker that shares
// no code with the product reads the log alone and decides:
//
//	lost         acknowledged, and an endpoint never answered 2xx to it             0 allowed
//	phantom      delivered, and never sent, refused, or with another body           0 allowed
//	twice named  one message under two ids, or an id other than the acknowledged    0 allowed
//	forged       the signature does not verify with an independent library          0 allowed
//	repeated     delivered again after a 2xx, without a kill in between             0 allowed
//	             … across a kill: at most what was out or unrecorded there          ≤ 2 × concurrency,
//	             … and answered so shortly before it that it can have been          ≤ 2 s
//
// A kill leaves the operating system's cache intact, so this says nothing of power loss.
//
//	go test ./test/crash                          20 rounds
//	go test ./test/crash -rounds 500 -timeout 1h
//
// The tests are the package; it has no other content.
package crash
