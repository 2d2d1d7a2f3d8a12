// Package outbound sends HTTP requests to addresses we do not trust.
//
// It promises that every connection goes to an address that the Policy allows, checked after name
// resolution and at the moment of dialling; that Post answers within its timeout whatever the other
// side does, and promptly after its context ends; and that no answer makes it keep more than a few
// kilobytes. It refuses to follow redirects, to use proxies from the environment, to decompress, to
// speak anything but HTTP/1.1 (TLS 1.2 or later), and to guess at answers that can be read in two ways.
//
// The whole exchange happens on the caller's goroutine:
//
//	       ┌─ idle connection ─┐
//	Post ──┤                   ├─▶ write ─▶ status, headers ─▶ body ─▶ idle, or closed
//	       └─ check, dial, TLS ┘     │              │
//	                 ▲               ▼              ▼
//	                 └── once, if an idle connection turns out to be dead
//
// Status and headers in time are the answer. A body that is too long, too slow or malformed is cut
// (Response.Truncated) and costs the connection, never the answer: the endpoint has spoken.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/harkhq/hark"
)

// Options configure a Client. The zero value is a safe client for the public internet.
type Options struct {
	Policy Policy
	// Dial replaces the network in tests. It is given only addresses that the Policy allows.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver replaces the DNS; *net.Resolver is one.
	Resolver Resolver
	// RootCAs replaces the system's certificate authorities.
	RootCAs *x509.CertPool
	// UserAgent is sent with every request. Default "Hark".
	UserAgent string

	DNSTimeout     time.Duration // default 5 s
	ConnectTimeout time.Duration // default 5 s
	TLSTimeout     time.Duration // default 5 s
	// BodyTimeout is how long the rest of a body may take once status and headers are there. The
	// answer is known by then, so that waiting is a courtesy. Default 5 s.
	BodyTimeout time.Duration

	HeaderBytes int // most bytes of status line and headers, 1xx included; default 32 KiB
	BodyBytes   int // most bytes of a body that are kept; default 20,000, as Svix keeps

	IdlePerTarget int           // connections kept open per host; default 4,096: many endpoints may share one
	IdleTotal     int           // connections kept open in all; default 4,096
	IdleTimeout   time.Duration // how long an unused connection is kept; default 60 s
}

// Resolver finds the addresses of a host's name.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Limits that need no knob.
const (
	maxInformational = 5                // 1xx answers before the real one, as net/http
	maxDrain         = 4 << 10          // bytes read beyond BodyBytes to save a connection
	maxAge           = 10 * time.Minute // after that a connection is renewed, so that DNS changes are seen
	checkIdleAfter   = time.Second      // connections idle for longer are checked before use
	dialStagger      = 250 * time.Millisecond
	maxAddresses     = 8
	coalesce         = 16 << 10 // bodies up to this go out in one write with the head; one TLS record
)

// Client sends requests. It is safe for concurrent use and owns no goroutine.
type Client struct {
	opts      Options
	tls       *tls.Config
	tlsNoAuth *tls.Config // for SkipTLSVerify; it has a session cache of its own
	tail      string      // the fields that end every head, as sent, up to Content-Length's value
	scratch   sync.Pool
	conns     conns
}

// New makes a Client. Close it to release its connections.
func New(opts Options) *Client {
	if opts.Resolver == nil {
		opts.Resolver = &net.Resolver{PreferGo: true}
	}
	if opts.UserAgent == "" {
		opts.UserAgent = "Hark"
	}
	for _, d := range []*time.Duration{&opts.DNSTimeout, &opts.ConnectTimeout, &opts.TLSTimeout, &opts.BodyTimeout} {
		orDefault(d, 5*time.Second)
	}
	orDefault(&opts.HeaderBytes, 32<<10)
	orDefault(&opts.BodyBytes, 20_000)
	orDefault(&opts.IdlePerTarget, 4096)
	orDefault(&opts.IdleTotal, 4096)
	orDefault(&opts.IdleTimeout, time.Minute)
	if opts.Dial == nil {
		opts.Dial = guardedDialer(opts.Policy)
	}
	c := &Client{
		opts: opts,
		tls: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			NextProtos:         []string{"http/1.1"},
			RootCAs:            opts.RootCAs,
			ClientSessionCache: tls.NewLRUClientSessionCache(opts.IdleTotal),
		},
		tail: "Accept: */*\r\nUser-Agent: " + opts.UserAgent + "\r\nContent-Length: ",
	}
	c.tlsNoAuth = c.tls.Clone()
	c.tlsNoAuth.InsecureSkipVerify = true
	c.tlsNoAuth.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	c.scratch.New = func() any { return &exchange{reader: reader{in: make([]byte, 4<<10), headerBytes: opts.HeaderBytes}} }
	c.conns.perKey, c.conns.total, c.conns.timeout = opts.IdlePerTarget, opts.IdleTotal, opts.IdleTimeout
	return c
}

func orDefault[T int | time.Duration](value *T, fallback T) {
	if *value <= 0 {
		*value = fallback
	}
}

// Close closes all connections. Requests in flight end at once, later ones are refused: Canceled.
func (c *Client) Close() { c.conns.close() }

// Idle is how many connections wait to be used again.
func (c *Client) Idle() int { return c.conns.idleCount() }

// Field is one header field. It is written as it is; names and values come checked from where
// they entered the house. A line break in one refuses the request (Invalid).
type Field struct{ Name, Value string }

// Request is one POST, or what Method says. Post only reads it, so it may be used again.
type Request struct {
	Method string // "" means POST; else letters, all upper case
	Target *Target
	// Header is written in order and case, after Host and before Accept, User-Agent and
	// Content-Length, which the client writes itself. An Authorization field here takes the
	// place of the one made from the URL's userinfo.
	Header        []Field
	Body          []byte
	Timeout       time.Duration // for everything together; 0 means hark.DefaultTimeout
	SkipTLSVerify bool
	// Into, when not nil, is the Response to fill and return. Its buffers are used again, so
	// whoever keeps its Body must set it to nil before.
	Into *Response
}

// Response is the answer to a request.
type Response struct {
	Status    int
	Body      []byte // at most Options.BodyBytes, as sent: never decompressed
	Truncated bool   // there was more body, or it did not end well
	Reused    bool   // the request went over a connection that had served before
	Phases    hark.Phases
	Duration  time.Duration

	head []byte // fields, for Header and Fields
}

// Header is the value of the first field with the given name in any case, or "".
func (r *Response) Header(name string) string { return findField(r.head, name) }

// Fields are all of them, in their order.
func (r *Response) Fields() []hark.HeadField { return fieldsOf(r.head) }

func (r *Response) reset() {
	*r = Response{Body: r.Body[:0], head: r.head[:0]}
}

// Post sends a request and reads the answer. Any status is an answer, redirects included. The
// error, if not nil, is an *Error.
func (c *Client) Post(ctx context.Context, req *Request) (*Response, error) {
	resp := req.Into
	if resp == nil {
		resp = new(Response)
	}
	resp.reset()
	x := c.scratch.Get().(*exchange)
	defer c.release(x)
	x.begin(ctx, req, resp)
	if err := c.send(x); err != nil {
		err.Phases, err.Duration = resp.Phases, time.Since(x.start)
		if err.Kind == Blocked {
			err.Phases, err.Duration = hark.Phases{}, 0
		}
		return nil, err
	}
	return resp, nil
}

// send finds a connection and does the exchange on it. An idle connection can be dead without our
// knowing, so if one gives no byte of an answer we try once more on a fresh one. The endpoint may
// see the request twice then; it has the same webhook-id.
func (c *Client) send(x *exchange) *Error {
	if x.ctx.Err() != nil {
		return fail(x.ctx, "sending the request", Canceled, nil)
	}
	if err := x.writeHead(c.tail); err != nil {
		return err
	}
	key := x.req.Target.key
	if x.req.SkipTLSVerify {
		key = "unverified " + key
	}
	if cn := c.conns.take(x.ctx, key, x.start); cn != nil {
		x.resp.Reused = true
		err := c.exchange(x, cn)
		if err == nil || x.answered || err.Kind == Timeout || err.Kind == Canceled {
			return err
		}
		x.resp.Reused = false
	}
	cn, err := c.connect(x, key)
	if err != nil {
		return err
	}
	return c.exchange(x, cn)
}

// release gives an exchange back, unless it has grown: one hostile answer must not keep memory.
func (c *Client) release(x *exchange) {
	if cap(x.in)+cap(x.out) <= 64<<10 {
		x.ctx, x.req, x.resp, x.src = nil, nil, nil, nil
		c.scratch.Put(x)
	}
}
