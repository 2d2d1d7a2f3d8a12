// Package sdk drives the real binary with the clients that people already have: npm svix of both
// generations and the Go client. Each calls every operation that it has and that Hark serves, and
// checks the answers; receivers verify deliveries with the official Standard Webhooks libraries and
// with the clients' own. What the clients do is theirs: nothing is patched or faked.
//
// The libraries of providers (Stripe, GitHub, Slack, Twilio, Standard Webhooks) stand on both sides of a
// source, of hark sign and of hark verify. Every event that hark trigger knows is verified by its provider's
// library (those of Shopify too); GitHub's are held to the schemas that are published for them, Stripe's to the
// types of its library. What hark listen brings to a receiver on this machine, through a source and through the
// URL that it prints, is verified by the libraries of Stripe, GitHub and Standard Webhooks.
//
// The JavaScript clients are installed from their lock files, once: the user's cache (hark-tests/npm) keeps them.
// Without Node.js, or at first without a package registry, their tests are skipped, loudly.
//
// The tests are the package; it has no other content.
package sdk
