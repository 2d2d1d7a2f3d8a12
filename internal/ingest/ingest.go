// Package ingest receives webhooks from others: POST /in/{token}, and whatever else a provider does
// with its URL.
//
//	token ─ limits ─ read the raw body ─ handshake? ─ verify ─ seen before? ─▶ store: request, message,
//	  │       │             │                │           │                     deliveries, one commit ─▶ 2xx
//	 404     429         413, 400          answer       401 ──────────────────▶ store: request ─▶ 4xx
//
// It promises that 2xx is answered only when the message and its deliveries are durable, or were
// before; that a body is verified, kept and passed on byte for byte; that every request to a source
// is kept with what became of it; and that no more of a body is read than the source allows, and all
// bodies together take no more memory than Options says. It refuses to guess: what is not verified
// does not become a message unless a person says so. Tokens, headers and bodies never reach a log.
package ingest

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/webhook"
)

// Prefix is where the paths of all sources begin.
const Prefix = "/in/"

// Store is the part of a store that receiving needs.
type Store interface {
	directory.Accepter
	SourceByToken(ctx context.Context, hash [32]byte) (hark.Source, error)
	UpdateSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Source) error) (hark.Source, error)
	InsertRequests(ctx context.Context, requests []hark.Request) error
	AdoptRequest(ctx context.Context, source hark.Ref, id hark.RequestID, message hark.MessageID) error
	CountRequests(ctx context.Context, source hark.Ref, since time.Time, limit int) (int, error)
}

var _ Store = store.Store(nil)

// Options of an Ingest. Store, Directory and URL are required.
type Options struct {
	Store     Store
	Directory *directory.Directory
	// URL is where the server is reached from outside: some providers sign the URL that they call.
	URL string
	// Client fetches the keys and certificates of providers, and confirms subscriptions. It must be one
	// that does not reach private networks. Nil: such requests cannot be verified.
	Client webhook.Client

	// Proxies are the networks of proxies whose X-Forwarded-For is believed.
	Proxies []netip.Prefix

	Log     *slog.Logger          // nil is silent
	Metrics prometheus.Registerer // nil keeps them to itself
	// Limit is the most sources in memory; 0 means DefaultLimit.
	Limit int
	// MaxReading is the most bytes of bodies that are being received at once; 0 means DefaultMaxReading.
	MaxReading int64
	// ReadTimeout is how long a body of ordinary size may take; 0 means DefaultReadTimeout.
	ReadTimeout time.Duration
}

// Defaults of Options.
const (
	DefaultLimit       = 50_000
	DefaultMaxReading  = 256 << 20
	DefaultReadTimeout = 10 * time.Second
)

// Ingest receives. It is safe for concurrent use.
type Ingest struct {
	Options
	metrics *metrics
	reading atomic.Int64 // bytes reserved for bodies under way

	mu      sync.RWMutex
	byToken map[[32]byte]*source
	states  map[hark.Ref]*state
	// changes counts the Forgets, so that what was read before one is not kept after it.
	changes uint64
}

// New makes an Ingest.
func New(o Options) *Ingest {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.MaxReading <= 0 {
		o.MaxReading = DefaultMaxReading
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	return &Ingest{Options: o, metrics: newMetrics(o.Metrics), byToken: map[[32]byte]*source{}, states: map[hark.Ref]*state{}}
}

// ServeHTTP answers everything below Prefix.
func (in *Ingest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	// With both Content-Length and chunked, what follows the body may be a request that somebody in
	// between did not see (RFC 9112 §6.1): no connection goes on behind a chunked request.
	if len(r.TransferEncoding) > 0 {
		w.Header()["Connection"] = headerClose
	}
	token, rest, ok := splitPath(r)
	if !ok {
		in.count(unknown, began)
		answerError(w, notFound)
		return
	}
	src, err := in.find(r.Context(), token, began)
	switch {
	case hark.CodeOf(err) == hark.NotFound:
		in.count(unknown, began)
		answerError(w, notFound)
	case err != nil:
		in.count(unavailable, began)
		in.away(r.Context(), w, err)
	default:
		v := visit{in: in, w: w, r: r, src: src, path: rest, began: began}
		in.count(v.serve(), began)
	}
}

func (in *Ingest) count(what result, began time.Time) {
	in.metrics.requests[what].Inc()
	in.metrics.seconds.Observe(time.Since(began).Seconds())
}

// away answers what could not be done now, and was not: the provider will come again.
func (in *Ingest) away(ctx context.Context, w http.ResponseWriter, err error) {
	if ctx.Err() != nil {
		return // nobody waits for an answer
	}
	if code := hark.CodeOf(err); code != hark.Overloaded && code != hark.Unavailable {
		in.Log.LogAttrs(ctx, slog.LevelError, "receive", slog.Any("err", err))
	}
	answerError(w, errorAnswer{http.StatusServiceUnavailable, "unavailable", "Nothing was kept: try again", retryAfter(err)})
}
