// Package manage holds the operations that every face offers: it decides who may do what, checks
// what is asked, and drives the store and the engines.
//
// Every operation is a method of Manager that takes the Caller. It promises that all faces behave
// alike, that an answer about somebody else's things is the answer about things that do not exist,
// that several wrong fields are reported at once, and that every change leaves a line in the audit
// log. Wrong input is a *hark.Error with the wire's field names. It refuses to know any wire
// format: faces decode, call, encode.
package manage

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
)

// Engine is what manage tells the delivery engine.
type Engine interface {
	// EndpointChanged says that an endpoint, or its application, was changed or deleted.
	EndpointChanged(endpoint hark.Ref)
}

// Tokens is what manage needs of authentication; *auth.Authenticator is it.
type Tokens interface {
	IssueAppToken(in auth.AppToken, now time.Time) (string, error)
	// Forget makes changed keys be looked up again.
	Forget()
}

// Replays starts background tasks, and counts what they would do; *replay.Replayer does.
type Replays interface {
	Count(ctx context.Context, app hark.Ref, endpoint *directory.Endpoint, kind string, job replay.Job) (n int, complete bool, err error)
	Start(ctx context.Context, env hark.EnvironmentID, kind string, job replay.Job, now time.Time) (hark.Task, error)
}

// Options of a Manager. Those up to Nodes are required.
type Options struct {
	Store           store.Store
	Directory       *directory.Directory
	Engine          Engine
	Tokens          Tokens
	Replays         Replays
	Ingest          *ingest.Ingest
	Streams         *stream.Hub
	Pollers         Pollers
	Transformations Transformations
	Nodes           func(ctx context.Context, now time.Time) ([]store.NodeStatus, error)

	Logger *slog.Logger // for the audit log; nil writes none
	// MaxPayload is the most bytes of a message's payload; 0 means DefaultMaxPayload.
	MaxPayload int
	// HTTPSOnly refuses endpoints with http:// URLs.
	HTTPSOnly bool
	// IngestURL is where the server is reached from outside, for the URLs of sources.
	IngestURL string
	// PortalURL is where customers open the portal; their token is appended as its fragment.
	PortalURL string
}

// DefaultMaxPayload is the most bytes of one message's payload.
const DefaultMaxPayload = 2 << 20

// Manager offers the operations. It is safe for concurrent use.
type Manager struct {
	store           store.Store
	directory       *directory.Directory
	engine          Engine
	tokens          Tokens
	replays         Replays
	ingest          *ingest.Ingest
	streams         *stream.Hub
	pollers         Pollers
	transformations Transformations
	nodes           func(ctx context.Context, now time.Time) ([]store.NodeStatus, error)
	log             *slog.Logger

	maxPayload int
	httpsOnly  bool
	portalURL  string
	ingestURL  string
	health     lastHealth
}

// New makes a Manager.
func New(opt Options) *Manager {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.MaxPayload <= 0 {
		opt.MaxPayload = DefaultMaxPayload
	}
	return &Manager{
		store: opt.Store, directory: opt.Directory, engine: opt.Engine, tokens: opt.Tokens, replays: opt.Replays,
		nodes: opt.Nodes, ingest: opt.Ingest, ingestURL: opt.IngestURL, streams: opt.Streams, pollers: opt.Pollers,
		transformations: opt.Transformations,
		log:             opt.Logger, maxPayload: opt.MaxPayload, httpsOnly: opt.HTTPSOnly, portalURL: opt.PortalURL,
	}
}

// healthFor is how long an answer about health holds: anybody may ask, and asking costs a write.
const healthFor = time.Second

type lastHealth struct {
	mu    sync.Mutex
	known Health
	until time.Time
}

// Health asks the parts that a server cannot work without, at most once in healthFor.
func (m *Manager) Health(ctx context.Context) Health {
	h := &m.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); now.After(h.until) {
		h.known, h.until = Health{Store: m.store.Ping(ctx)}, now.Add(healthFor)
	}
	return h.known
}

// audit leaves a line about a change. Values of the change are not in it: they may be secret.
func (m *Manager) audit(ctx context.Context, c *Caller, op operation, attrs ...slog.Attr) {
	m.log.LogAttrs(ctx, slog.LevelInfo, "audit", append([]slog.Attr{
		slog.String("operation", rules[op].name),
		slog.String("env", string(c.EnvironmentID)),
		slog.String("actor", c.Actor),
		slog.String("key", string(c.KeyID)),
	}, attrs...)...)
}

// app finds the application that an operation is about, if the caller may do it there. To a caller
// that is restricted to one application the others do not exist.
func (m *Manager) app(ctx context.Context, c *Caller, op operation, idOrUID string) (*directory.Application, error) {
	if err := c.permit(op); err != nil {
		return nil, err
	}
	return m.findApp(ctx, c, idOrUID)
}

func (m *Manager) findApp(ctx context.Context, c *Caller, idOrUID string) (*directory.Application, error) {
	app, err := m.directory.Application(ctx, c.EnvironmentID, idOrUID)
	if err != nil {
		return nil, err
	}
	if c.ApplicationID != "" && app.ID != c.ApplicationID {
		return nil, hark.ErrNotFound
	}
	return app, nil
}

// findEndpoint finds a live endpoint of an application, by id or uid: one that is pulled, or one that is not.
func findEndpoint(app *directory.Application, idOrUID string, pulled bool) (*directory.Endpoint, error) {
	if idOrUID == "" {
		return nil, hark.ErrNotFound
	}
	byID := strings.HasPrefix(idOrUID, hark.EndpointPrefix) || strings.HasPrefix(idOrUID, hark.ConsumerPrefix)
	for _, ep := range app.Endpoints {
		if ep.ID.IsPulled() != pulled {
			continue
		}
		if byID && string(ep.ID) == idOrUID || !byID && ep.UID == idOrUID {
			return ep, nil
		}
	}
	return nil, hark.ErrNotFound
}

// appEndpoint finds an application and one of its endpoints.
func (m *Manager) appEndpoint(ctx context.Context, c *Caller, op operation, app, endpoint string) (*directory.Application, *directory.Endpoint, error) {
	a, err := m.app(ctx, c, op, app)
	if err != nil {
		return nil, nil, err
	}
	return m.endpointOf(ctx, a, endpoint, false)
}

// appConsumer finds an application and one of its consumers.
func (m *Manager) appConsumer(ctx context.Context, c *Caller, op operation, app, consumer string) (*directory.Application, *directory.Endpoint, error) {
	a, err := m.app(ctx, c, op, app)
	if err != nil {
		return nil, nil, err
	}
	return m.endpointOf(ctx, a, consumer, true)
}

// endpointOf finds a live endpoint of an application, also one that another node has made just now.
func (m *Manager) endpointOf(ctx context.Context, app *directory.Application, idOrUID string, pulled bool) (*directory.Application, *directory.Endpoint, error) {
	if ep, err := findEndpoint(app, idOrUID, pulled); err == nil {
		return app, ep, nil
	}
	app, err := m.directory.Reload(ctx, app.Ref)
	if err != nil {
		return nil, nil, err
	}
	ep, err := findEndpoint(app, idOrUID, pulled)
	return app, ep, err
}

// anyEndpointOf is endpointOf for either kind: a uid is one's only.
func (m *Manager) anyEndpointOf(ctx context.Context, app *directory.Application, idOrUID string) (*directory.Endpoint, error) {
	if ep, err := findEndpoint(app, idOrUID, true); err == nil {
		return ep, nil
	}
	app, ep, err := m.endpointOf(ctx, app, idOrUID, false)
	if errors.Is(err, hark.ErrNotFound) && app != nil {
		ep, err = findEndpoint(app, idOrUID, true) // it has been read again
	}
	return ep, err
}

// appMessage finds an application and one of its messages, without the payload.
func (m *Manager) appMessage(ctx context.Context, c *Caller, op operation, app, message string) (*directory.Application, hark.Message, error) {
	a, err := m.app(ctx, c, op, app)
	if err != nil {
		return nil, hark.Message{}, err
	}
	msg, err := m.store.Message(ctx, a.Ref, message, false)
	return a, msg, err
}

// changed tells everybody that an application or some of its endpoints are not what they were.
func (m *Manager) changed(app hark.Ref, endpoints ...hark.Ref) {
	m.directory.Forget(app)
	for _, ref := range endpoints {
		m.engine.EndpointChanged(ref)
	}
}

func endpointRefs(app *directory.Application) []hark.Ref {
	refs := make([]hark.Ref, len(app.Endpoints))
	for i, ep := range app.Endpoints {
		refs[i] = ep.Ref
	}
	return refs
}

// moment is now, as exact as the store keeps it: what is answered now is what is read later.
func moment() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
