package row

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Export is an export under way. It makes records of all rows but those of messages and requests, of which
// a store has too many to treat them like another's.
type Export struct {
	Query                   Query
	Visit                   func(*store.Record) error
	kinds                   *Kinds
	Applications, Endpoints Numbers
	Sources, Pollers        Numbers
	SourceRefs              []hark.Ref // in the order in which they came
}

// NewExport begins an export of what a connection sees.
func NewExport(k *Kinds, q Query, visit func(*store.Record) error) Export {
	return Export{Query: q, Visit: visit, kinds: k, Applications: Numbers{}, Endpoints: Numbers{}, Sources: Numbers{}, Pollers: Numbers{}}
}

// Do visits everything, in an order that is the same in every store.
func (e *Export) Do() error {
	for _, step := range [...]func() error{e.configuration, e.guards, e.places, e.feeds} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// each visits the rows of a query.
func each[T any](e *Export, scan func(Row) (T, error), record func(*T) store.Record, query string, args ...any) error {
	return e.Query(func(r Row) error {
		v, err := scan(r)
		if err != nil {
			return err
		}
		one := record(&v)
		return e.Visit(&one)
	}, query, args...)
}

func (e *Export) configuration() error {
	sql := &e.kinds.sql
	envs, err := Collect(e.Query, scanEnvironment, sql.Environment.Every)
	if err != nil {
		return err
	}
	slices.SortFunc(envs, func(a, b hark.Environment) int { return cmp.Compare(a.ID, b.ID) })
	for i := range envs {
		if err := e.Visit(&store.Record{Environment: &envs[i]}); err != nil {
			return err
		}
	}
	if err := each(e, scanEventType, func(t *hark.EventType) store.Record { return store.Record{EventType: t} }, sql.EventType.Every); err != nil {
		return err
	}
	if err := each(e, scanKey, func(k *hark.Key) store.Record { return store.Record{Key: k} }, sql.Key.Every); err != nil {
		return err
	}
	return each(e, scanTask, func(t *hark.Task) store.Record { return store.Record{Task: t} }, sql.Task.Every)
}

func (e *Export) guards() error {
	sql := &e.kinds.sql
	if err := each(e, scanMessageKey, func(k *store.MessageKey) store.Record { return store.Record{MessageKey: k} }, sql.MessageKey.Every); err != nil {
		return err
	}
	return each(e, scanAnswer, func(a *store.Answer) store.Record { return store.Record{Answer: a} }, sql.Answer.Every)
}

// places visits applications, then their endpoints, then what is kept of those' transformations, then
// their sources, then their pollers.
func (e *Export) places() error {
	var refs []hark.Ref
	err := each(e, scanMovedApplication, func(app *store.MovedApplication) store.Record {
		refs = append(refs, app.Ref)
		app.Ref = e.Applications.Add(app.Ref)
		return store.Record{Application: app}
	}, e.kinds.sql.Application.Every)
	if err != nil {
		return err
	}
	var transformed []hark.Ref
	for _, ref := range refs {
		if err := each(e, e.kinds.access.Seal.ScanEndpoint, func(ep *hark.Endpoint) store.Record {
			if ep.Transformation.Version > 0 {
				transformed = append(transformed, ep.Ref)
			}
			ep.Ref, ep.ApplicationRef = e.Endpoints.Add(ep.Ref), e.Applications[ep.ApplicationRef]
			return store.Record{Endpoint: ep}
		}, e.kinds.sql.Endpoint.Every, ref); err != nil {
			return err
		}
	}
	if err := e.transformations(transformed); err != nil {
		return err
	}
	for _, ref := range refs {
		if err := each(e, e.kinds.access.Seal.scanMovedSource, func(src *store.MovedSource) store.Record {
			e.SourceRefs = append(e.SourceRefs, src.Ref)
			src.Ref, src.ApplicationRef, src.ApplicationID = e.Sources.Add(src.Ref), e.Applications[src.ApplicationRef], ""
			return store.Record{Source: src}
		}, e.kinds.sql.Source.Every, ref); err != nil {
			return err
		}
	}
	return e.pollers(refs)
}

// pollers visits the pollers of applications, each followed by its items.
func (e *Export) pollers(applications []hark.Ref) error {
	for _, app := range applications {
		all, err := Collect(e.Query, e.kinds.access.Seal.scanPoller, e.kinds.sql.Poller.Every, app)
		if err != nil {
			return err
		}
		for i := range all {
			p := &all[i]
			ref := p.Ref
			p.Ref, p.ApplicationRef, p.ApplicationID, p.EnvironmentID = e.Pollers.Add(ref), e.Applications[app], "", ""
			if err := e.Visit(&store.Record{Poller: p}); err != nil {
				return err
			}
			if err := e.items(ref); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Export) items(poller hark.Ref) error {
	for last := []byte{}; ; {
		items, err := Collect(e.Query, ScanPollerItem, e.kinds.sql.Poller.EveryItem, poller, last, store.MaxMovedItems)
		if err != nil || len(items) == 0 {
			return err
		}
		last = bytes.Clone(items[len(items)-1].Item[:])
		if err := e.Visit(&store.Record{Items: &store.MovedItems{PollerRef: e.Pollers[poller], Items: items}}); err != nil {
			return err
		}
	}
}

// Request makes a request a record's.
func (e *Export) Request(q *hark.Request) error {
	q.SourceRef, q.SourceID = e.Sources[q.SourceRef], ""
	return e.Visit(&store.Record{Request: q})
}
