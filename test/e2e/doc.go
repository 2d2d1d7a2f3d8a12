// Package e2e holds Hark to the ten promises of its design, through the real binary and nothing
// else: it publishes over HTTP, receives with net/http, kills the server and starts it again. The
// test of promise n is called TestPromiseNN_…; tenant isolation walks every route with every wrong
// key. Tests that need more than this have folders of their own: crash, hostile, sdk.
//
// The tests are the package; it has no other content.
package e2e
