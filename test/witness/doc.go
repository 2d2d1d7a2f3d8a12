// Package witness judges Hark from outside: what a campaign of faults has to prove.
//
// A Publisher sends messages to the real binary, a Receiver takes the deliveries, Readers read the feeds
// of consumers through every reconnect, and all write down what they saw in a Journal of their own, fsynced; whoever makes the faults writes them down there,
// too. Check shares no code with the product, reads the log alone, and decides:
//
//	lost         acknowledged, and an endpoint never answered 2xx to it             0 allowed
//	phantom      delivered, and never sent, refused, not meant for that endpoint,
//	             or with another body                                              0 allowed
//	twice named  one message under two ids, or an id other than the acknowledged    0 allowed
//	forged       the signature does not verify with an independent library          0 allowed
//	out of order delivered for the first time after one that was sent later in its
//	             line, at an endpoint that keeps order                             0 allowed
//	rude         503 without Retry-After                                            0 allowed
//	not fed      acknowledged, and not in the feed of a consumer that it matches; or
//	             twice in it, or under another number for another reader           0 allowed
//	hole         a reader never got a number of its feed, or got one out of its
//	             turn, and was not told that it is gone                             0 allowed
//	back         a reader's place lies before what it has acknowledged, or behind   0 allowed
//	misrecorded  after an Audit: a delivery without exactly one recorded success,
//	             or a recorded success that nobody answered                         0 allowed
//	repeated     delivered again after a 2xx, without a fault in between            0 allowed
//	             … across a fault: at most what was out or unrecorded there, and    Rules
//	             answered so shortly before it that it can have been
//
// The package refuses to know how the faults are made: test/crash, test/cluster and test/laptop do.
package witness
