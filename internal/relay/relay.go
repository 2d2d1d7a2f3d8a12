// Package relay hands webhooks to a laptop for the stock svix listen client, which speaks a protocol of
// Svix's: it connects a WebSocket at ListenPath, says a token that it has made up, and gets every request
// to /in/TOKEN as a message; what it answers is the answer.
//
//	client                                          server
//	{"type":"start","data":{"token":"c_…"}}    ──▶
//	                                           ◀──  {"type":"start","data":{"token":"c_…"}}
//	                                           ◀──  {"type":"event","data":{id, method, headers, body}}   POST /in/c_…
//	{"type":"event","data":{id, status, …}}    ──▶                                                        its answer
//
// It promises that the sender hears 2xx only when the client has answered that: with nobody connected, a
// client that leaves, or one that does not answer in time, it is told to come again. Nothing is kept: what
// must not be lost goes to a source.
//
// The client is anonymous, as the protocol wants it: whoever knows a token can take its place once it is
// free. So a relay is for development, off unless it is asked for, and bounded: sockets for each address,
// requests for each token, bytes, and answers that can only be data, never a page of this server's.
package relay

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ListenPath is where clients connect.
const ListenPath = "/api/v1/listen/"

// prefix is where the requests for clients come, as those for sources do.
const prefix = "/in/"

// Bounds.
const (
	maxSockets   = 200
	maxPerCaller = 20
	maxWaiting   = 64 // requests of a token that wait for their answers
	perSecond    = 20 // requests of a token
	burst        = 100
	maxBodyBytes = 1 << 20
	maxHeld      = 64 << 20 // bytes of all bodies that are under way
	// maxFrameBytes bounds an answer: its headers, and its body in base64.
	maxFrameBytes = 1 << 20
	startIn       = 10 * time.Second
	writeIn       = 10 * time.Second
	aliveIn       = 3 * time.Second // for a socket whose place somebody else wants
)

// Options of a Relay. The zero value is good.
type Options struct {
	Caller func(*http.Request) netip.Addr // who calls; nil is the peer
	Wait   time.Duration                  // for the client's answer; 0 is 30 s, the client's own patience
	Ping   time.Duration                  // between pings; 0 is 20 s: the client leaves when it has heard none for about 30 s
}

// Relay hands requests over. It is safe for concurrent use.
type Relay struct {
	Options
	held atomic.Int64
	once sync.Once
	stop chan struct{} // closed at the end

	mu      sync.Mutex
	sockets map[string]*socket
	open    int
	callers map[netip.Addr]int
}

// New makes a Relay.
func New(o Options) *Relay {
	if o.Caller == nil {
		o.Caller = func(r *http.Request) netip.Addr {
			peer, _ := netip.ParseAddrPort(r.RemoteAddr) // who has none is nobody's
			return peer.Addr().Unmap()
		}
	}
	if o.Wait <= 0 {
		o.Wait = 30 * time.Second
	}
	if o.Ping <= 0 {
		o.Ping = 20 * time.Second
	}
	return &Relay{Options: o, stop: make(chan struct{}), sockets: map[string]*socket{}, callers: map[netip.Addr]int{}}
}

// IsToken says whether a text is a client's token. Tokens of sources are others: they have no underscore.
func IsToken(text string) bool {
	rest, ok := strings.CutPrefix(text, "c_")
	if !ok || len(rest) != 10 {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return false
		}
	}
	return true
}

// tokenOf is the token in a path, if it is a client's.
func tokenOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	token, _, _ := strings.Cut(rest, "/")
	return token, ok && IsToken(token)
}

// Takes says whether a request is the relay's to answer.
func (r *Relay) Takes(req *http.Request) bool {
	_, ok := tokenOf(req.URL.Path)
	return ok || req.URL.Path == ListenPath
}

// ServeHTTP answers what Takes takes.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if token, ok := tokenOf(req.URL.Path); ok {
		r.hand(w, req, token)
		return
	}
	r.connect(w, req)
}

// Stop tells all sockets to leave, and lets no more in.
func (r *Relay) Stop() { r.once.Do(func() { close(r.stop) }) }
