// Package directory is the configuration that the hot path reads: applications with their
// endpoints, compiled for matching, signing and sending, in memory.
//
// It promises that a change is seen by everything that starts after Forget returned. It refuses to
// grow without bound: applications are loaded when they are first needed, and beyond the limit
// others make room.
package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/webhook"
)

// DefaultLimit is how many applications are kept in memory.
const DefaultLimit = 50_000

// Source is the part of the store that the directory reads.
type Source interface {
	Application(ctx context.Context, env hark.EnvironmentID, idOrUID string) (hark.Application, error)
	ApplicationByRef(ctx context.Context, ref hark.Ref) (hark.Application, error)
	AllEndpoints(ctx context.Context, app hark.Ref) ([]hark.Endpoint, error)
}

// Options of a Directory.
type Options struct {
	Limit int // most applications in memory; 0 means DefaultLimit
}

// Directory is safe for concurrent use.
type Directory struct {
	source Source
	limit  int

	mu     sync.RWMutex
	byName map[name]*Application
	byRef  map[hark.Ref]*Application
	// changes counts the Forgets, so that what was read before one is not kept after it.
	changes uint64
}

// name is what callers know an application by.
type name struct {
	env     hark.EnvironmentID
	idOrUID string
}

// New makes an empty directory over a store.
func New(source Source, opt Options) *Directory {
	if opt.Limit <= 0 {
		opt.Limit = DefaultLimit
	}
	return &Directory{
		source: source,
		limit:  opt.Limit,
		byName: map[name]*Application{},
		byRef:  map[hark.Ref]*Application{},
	}
}

// Application finds an application by its id or uid; hark.ErrNotFound if there is none.
func (d *Directory) Application(ctx context.Context, env hark.EnvironmentID, idOrUID string) (*Application, error) {
	d.mu.RLock()
	app := d.byName[name{env, idOrUID}]
	changes := d.changes
	d.mu.RUnlock()
	if app != nil {
		return app, nil
	}
	row, err := d.source.Application(ctx, env, idOrUID)
	if err != nil {
		return nil, err
	}
	return d.load(ctx, row, changes)
}

// ByRef finds an application by the store's key; hark.ErrNotFound if it is gone.
func (d *Directory) ByRef(ctx context.Context, ref hark.Ref) (*Application, error) {
	app, changes := d.cached(ref)
	if app != nil {
		return app, nil
	}
	row, err := d.source.ApplicationByRef(ctx, ref)
	if err != nil {
		return nil, err
	}
	return d.load(ctx, row, changes)
}

// Cached is ByRef without waiting: nil if the application is not in memory.
func (d *Directory) Cached(ref hark.Ref) *Application {
	app, _ := d.cached(ref)
	return app
}

func (d *Directory) cached(ref hark.Ref) (app *Application, changes uint64) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byRef[ref], d.changes
}

// Forget drops an application from memory. Call it after every committed change of the
// application or of one of its endpoints.
func (d *Directory) Forget(ref hark.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	d.drop(ref)
}

// ForgetAll drops everything from memory: any of it may have changed.
func (d *Directory) ForgetAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	clear(d.byRef)
	clear(d.byName)
}

func (d *Directory) drop(ref hark.Ref) {
	app := d.byRef[ref]
	if app == nil {
		return
	}
	delete(d.byRef, ref)
	delete(d.byName, name{app.EnvironmentID, string(app.ID)})
	if app.UID != "" {
		delete(d.byName, name{app.EnvironmentID, app.UID})
	}
}

// load compiles an application and keeps it, unless something changed since the read began.
func (d *Directory) load(ctx context.Context, row hark.Application, changes uint64) (*Application, error) {
	endpoints, err := d.source.AllEndpoints(ctx, row.Ref)
	if err != nil {
		return nil, fmt.Errorf("load endpoints of %s: %w", row.ID, err)
	}
	app := compile(row, endpoints)

	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changes != changes {
		return app, nil
	}
	for ref := range d.byRef { // any other makes room: map order is arbitrary enough
		if len(d.byRef) < d.limit {
			break
		}
		d.drop(ref)
	}
	d.drop(row.Ref)
	d.byRef[row.Ref] = app
	d.byName[name{app.EnvironmentID, string(app.ID)}] = app
	if app.UID != "" {
		d.byName[name{app.EnvironmentID, app.UID}] = app
	}
	return app, nil
}

// Application is an application with its live endpoints. It is immutable.
type Application struct {
	hark.Application
	Endpoints []*Endpoint // oldest first

	byRef    map[hark.Ref]*Endpoint
	byType   map[string][]*Endpoint // enabled ones that name their event types
	catchAll []*Endpoint            // enabled ones that take every event type
}

// Endpoint is an endpoint ready to match, sign and send. It is immutable.
type Endpoint struct {
	hark.Endpoint
	Matcher *match.Matcher
	Target  *outbound.Target // nil: it is pulled
	Fields  []outbound.Field // its custom headers, in a stable order
	RetryOn *hark.Statuses   // the answers that are worth another attempt; nil: every failure
	// Broken says why nothing can be sent to it (its URL or a secret does not parse); nil if all is well.
	Broken error

	// Script is the key of its transformation; zero when messages go through none.
	Script [32]byte

	keys []webhook.Key // beside Secrets, by index
	tell []match.Part  // what tells its messages apart; nil: it gets all
}

func compile(row hark.Application, rows []hark.Endpoint) *Application {
	app := &Application{
		Application: row,
		Endpoints:   make([]*Endpoint, 0, len(rows)),
		byRef:       make(map[hark.Ref]*Endpoint, len(rows)),
		byType:      map[string][]*Endpoint{},
	}
	for _, r := range rows {
		ep := compileEndpoint(r)
		app.Endpoints = append(app.Endpoints, ep)
		app.byRef[ep.Ref] = ep
		switch {
		case ep.Disabled || ep.Matcher == nil:
		case ep.EventTypes == nil:
			app.catchAll = append(app.catchAll, ep)
		default:
			for _, t := range ep.EventTypes {
				app.byType[t] = append(app.byType[t], ep)
			}
		}
	}
	return app
}

func compileEndpoint(row hark.Endpoint) *Endpoint {
	ep := &Endpoint{Endpoint: row}
	var err error
	if ep.Matcher, err = match.Compile(match.Rule{EventTypes: row.EventTypes, Channels: row.Channels, Filter: row.Filter}); err != nil {
		ep.Broken = err
	}
	for _, text := range row.Rules.DedupeBy {
		ep.tell = append(ep.tell, match.ParsePart(text))
	}
	for _, s := range row.Secrets {
		key, err := webhook.ParseKey(s.Key.Reveal())
		if err != nil {
			ep.Broken = err
		}
		ep.keys = append(ep.keys, key)
	}
	if row.ID.IsPulled() {
		return ep
	}
	if ep.Target, err = outbound.ParseTarget(row.URL); err != nil {
		ep.Broken = err
	}
	if ep.RetryOn, err = hark.ParseStatuses(row.Rules.RetryOn); err != nil {
		ep.Broken = err
	}
	if row.Transformation.Runs() {
		ep.Script = row.Transformation.Key()
	}
	for _, n := range slices.Sorted(maps.Keys(row.Headers)) {
		ep.Fields = append(ep.Fields, outbound.Field{Name: n, Value: row.Headers[n]})
	}
	return ep
}

// Endpoint finds one of the application's live endpoints, or nil.
func (a *Application) Endpoint(ref hark.Ref) *Endpoint { return a.byRef[ref] }

// Match answers the enabled endpoints that a message goes to.
func (a *Application) Match(s *match.Subject) []*Endpoint {
	named := a.byType[s.EventType()]
	matched := make([]*Endpoint, 0, len(named)+len(a.catchAll))
	for _, candidates := range [2][]*Endpoint{named, a.catchAll} {
		for _, ep := range candidates {
			if ep.Matcher.Match(s) {
				matched = append(matched, ep)
			}
		}
	}
	return matched
}
