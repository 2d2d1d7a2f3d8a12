// Package api is the HTTP API under /api/v1: wire-compatible with Svix's open-source server and
// with both generations of its clients, then Hark's own additions.
//
// It holds wire shapes and nothing else: what is valid and who may do what is decided in package
// manage, in one place for every face. One table (operations.go) registers the routes, documents
// them at /docs and makes the OpenAPI document.
//
// It promises that every answer which is not a success is JSON (a client that parses the body of
// an error never meets an empty one), that an error never says anything about another tenant, and
// that an error which is nobody's fault outside says nothing at all and is logged once.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
	"github.com/harkhq/hark/internal/tunnel"
)

// Options are what the API is made of.
type Options struct {
	Manage *manage.Manager
	// Auth says who calls, from the bearer token.
	Auth Authenticator
	// Guards remember the answers to requests with an idempotency key.
	Guards Guards
	// Streams serve consumers that stay connected.
	Streams *stream.Hub
	// Tunnels serve machines that stand in for an endpoint.
	Tunnels *tunnel.Hub
	// RateLimit is how many requests each key may make a second; 0 means any number.
	RateLimit int
	Log       *slog.Logger
	// Observe, when not nil, is told of every answered request: the operation's id ("unknown" when
	// no route matched), the status, and how long it took.
	Observe func(r *http.Request, operation string, status int, took time.Duration)
}

// Authenticator finds out who calls.
type Authenticator interface {
	Authenticate(ctx context.Context, bearer string) (*auth.Principal, error)
}

// Guards is the part of the store that remembers answers.
type Guards interface {
	Reserve(ctx context.Context, key store.IdempotencyKey, now time.Time) (bool, error)
	Release(ctx context.Context, hash [32]byte) error
	Remember(ctx context.Context, answer store.Answer, now time.Time) error
	Recall(ctx context.Context, hash [32]byte, now time.Time) (store.Answer, error)
}

// hotPath is the part of package manage that is called thousands of times a second.
type hotPath interface {
	Allow(ctx context.Context, c manage.Caller, p manage.Permission, app string) error
	Publish(ctx context.Context, c manage.Caller, app string, in *manage.PublishIn, key *store.IdempotencyKey) (manage.Published, error)
	PublishBatch(ctx context.Context, c manage.Caller, app string, ins []manage.PublishIn, key *store.IdempotencyKey) ([]manage.BatchResult, error)
}

type server struct {
	Options
	hot   hotPath
	log   *slog.Logger
	mux   *http.ServeMux
	calls sync.Pool

	limiter *limiter
}

// New makes the API's handler. It answers every path: what it does not know is a 404.
func New(o Options) http.Handler { return newServer(o, o.Manage) }

func newServer(o Options, hot hotPath) *server {
	s := &server{Options: o, hot: hot, log: o.Log, mux: http.NewServeMux(), limiter: newLimiter(o.RateLimit)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	table := operations()
	for i := range table {
		op := &table[i]
		op.permission = permissionOf(op)
		s.route(op.method+" "+op.fullPath(), op)
	}
	s.page("GET /{$}", func(c *call) error {
		c.Header().Set("Location", "/docs")
		c.status = http.StatusTemporaryRedirect
		c.encode(struct{}{})
		return nil
	})
	docs := newDocs(table)
	s.page("GET "+prefix+"/openapi.json", docs.openapi)
	s.page("GET /docs", docs.page)
	s.page("GET /docs/style.css", docs.style)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		c.r = r
		c.unknown()
	})
	return s
}

// permissionOf is the operation's line in the permission table. Every operation but those for
// everyone has one; a name that is not there is a bug which the first start shows.
func permissionOf(op *operation) manage.Permission {
	p, ok := manage.PermissionOf(op.may)
	if !ok && op.access != everyone {
		panic("no permission " + op.may)
	}
	return p
}

// route registers an operation.
func (s *server) route(pattern string, op *operation) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := w.(*call)
		c.r, c.op = r, op
		c.run()
	})
}

// page registers something that is not an operation.
func (s *server) page(pattern string, serve func(*call) error) {
	s.route(pattern, &operation{id: "docs", status: []int{http.StatusOK}, handler: handler{serve: serve}})
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(w, r)
	defer s.end(c)
	h := w.Header()
	// With both Content-Length and chunked, what follows the body may be a request that somebody in
	// between did not see (RFC 9112 §6.1). net/http hides whether the length was there: so no
	// connection goes on behind a chunked request.
	if len(r.TransferEncoding) > 0 {
		h["Connection"] = headerClose
	}
	h["X-Request-Id"] = []string{c.requestID()}
	if id := r.Header["Svix-Req-Id"]; len(id) == 1 && saneID(id[0]) {
		h["Svix-Req-Id"] = id
	}
	if s.cors(c) {
		return
	}
	if path := r.URL.Path; len(path) > 1 && path[len(path)-1] == '/' {
		trimmed := *r.URL
		trimmed.Path = strings.TrimSuffix(path, "/")
		trimmed.RawPath = strings.TrimSuffix(trimmed.RawPath, "/")
		r2 := *r
		r2.URL = &trimmed
		r = &r2
	}
	// ServeMux answers these with a redirect to the cleaned path; here they are no path at all.
	if path := r.URL.Path; path == "" || path[0] != '/' || strings.Contains(path, "//") || strings.Contains(path, "/.") && dotted(path) {
		c.fail(hark.Errorf(hark.NotFound, "there is nothing at %s", path))
		return
	}
	s.mux.ServeHTTP(c, r)
}

// dotted says whether a path has a segment . or ..
func dotted(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// end sends the answer, whatever has happened.
func (s *server) end(c *call) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler {
			panic(p)
		}
		s.log.LogAttrs(c.r.Context(), slog.LevelError, "panic", slog.String("operation", c.operationID()),
			slog.String("request", c.requestID()), slog.Any("err", p), slog.String("stack", string(debug.Stack())))
		c.out.Reset()
		c.status = http.StatusInternalServerError
		c.out.WriteString("{}\n")
	}
	if c.status == 0 { // ServeMux has an answer of its own to some strange paths
		c.Header().Del("Location")
		c.Header().Del("Content-Type")
		c.unknown()
	}
	if !c.sent {
		c.flush()
	}
	if s.Observe != nil {
		s.Observe(c.r, c.operationID(), c.status, time.Since(c.began))
	}
	c.free()
}

// cors lets pages of any origin call the API: keys travel in a header that a browser never adds by
// itself. It says whether the request was a preflight, which is then answered.
func (s *server) cors(c *call) (answered bool) {
	h, r := c.Header(), c.r
	origin := r.Header["Origin"]
	if len(origin) > 0 {
		h["Access-Control-Allow-Origin"] = headerAny
		h["Access-Control-Expose-Headers"] = headerAny
		h["Vary"] = headerVary
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if len(origin) > 0 {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
		if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
			h["Access-Control-Allow-Headers"] = asked
		}
		h.Set("Access-Control-Max-Age", "600")
		h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	}
	c.status = http.StatusNoContent
	return true
}

// run does one operation: who calls, may they, has it been done already, do it.
func (c *call) run() {
	c.status = c.op.status[0]
	if err := c.attempt(); err != nil {
		c.fail(err)
		return
	}
	if !c.sent && c.r.Method == http.MethodGet && c.status == http.StatusOK && c.op.access != everyone {
		c.Header()["Cache-Control"] = headerPrivate
		c.tag()
	}
}

func (c *call) attempt() error {
	if c.op.access == everyone {
		return c.op.serve(c)
	}
	if err := c.authenticate(); err != nil {
		return err
	}
	if err := c.limit(); err != nil {
		return err
	}
	if c.r.Method == http.MethodPost && !c.op.lean {
		return c.onceOnly()
	}
	return c.op.serve(c)
}

// unknown answers what no route matches: 405 when another method would, else 404.
func (c *call) unknown() {
	var allow []string
	probe := *c.r
	for _, method := range [...]string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe.Method = method
		if _, pattern := c.api.mux.Handler(&probe); pattern != "" && pattern != "/" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		c.fail(hark.Errorf(hark.NotFound, "there is nothing at %s", c.r.URL.Path))
		return
	}
	c.Header().Set("Allow", strings.Join(allow, ", "))
	c.fail(hark.Errorf(methodNotAllowed, "this address allows %s", strings.Join(allow, ", ")))
}

var errNoToken = &hark.Error{Code: hark.Unauthenticated, Detail: "Invalid token"}

// authenticate finds out who calls, and keeps those out who may not, before anything is read.
func (c *call) authenticate() error {
	bearer, inQuery, err := c.token()
	if err != nil {
		return err
	}
	principal, err := c.api.Auth.Authenticate(c.r.Context(), bearer)
	if err != nil {
		return err
	}
	if inQuery && !principal.Portal {
		return errTokenInQuery
	}
	c.bearer = bearer
	c.caller = manage.CallerOf(principal)
	app := ""
	if !c.op.makesApp {
		app = c.path("app_id")
	}
	if err := c.api.hot.Allow(c.r.Context(), c.caller, c.op.permission, app); err != nil {
		return err
	}
	if source := c.path("source_id"); source != "" && !c.op.makesApp {
		return c.api.Manage.AllowSource(c.r.Context(), c.caller, source)
	}
	return nil
}

var errTokenInQuery = &hark.Error{Code: hark.Unauthenticated,
	Detail: "Only an application's token, which is short-lived, may stand in the query: others would be kept in logs on the way."}

// token is what the caller shows. Browsers can send no header with an EventSource or a WebSocket: there
// it may stand in the query.
func (c *call) token() (bearer string, inQuery bool, err error) {
	header := c.r.Header["Authorization"]
	if len(header) == 0 && c.op.stream {
		if bearer := c.r.URL.Query().Get("token"); bearer != "" {
			return bearer, true, nil
		}
	}
	if len(header) != 1 {
		return "", false, errNoToken
	}
	scheme, bearer, _ := strings.Cut(header[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, errNoToken
	}
	return bearer, false, nil
}
