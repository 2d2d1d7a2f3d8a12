package manage

import (
	"context"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// TailIn says what to watch.
type TailIn struct {
	Application string   // id or uid; "": all that the caller may see
	Source      string   // id or uid: only this source's requests
	Kinds       []string // of message, attempt and request; none: all that the rest leaves
	EventTypes  []string
	Status      string    // "failed": attempts that were no success, and requests that were rejected
	Since       time.Time // zero: from now on
	Resumed     bool      // it was watched until Since
}

// tailWindow is how far back a tail begins; lists go further.
const tailWindow = 24 * time.Hour

// OpenTail lets the caller watch what happens in an application, or in the whole environment. check says
// later whether it still may.
func (m *Manager) OpenTail(ctx context.Context, c Caller, in TailIn) (tail store.Tail, check func(context.Context) error, err error) {
	if earliest := time.Now().Add(-tailWindow); in.Resumed && in.Since.Before(earliest) {
		in.Since = earliest
	}
	scope, err := m.tailScope(ctx, &c, &in)
	if err != nil {
		return nil, nil, err
	}
	since := in.Since
	in.Since = time.Time{} // it gets older, and was right
	return m.store.OpenTail(scope, since), func(ctx context.Context) error {
		_, err := m.tailScope(ctx, &c, &in)
		return err
	}, nil
}

func (m *Manager) tailScope(ctx context.Context, c *Caller, in *TailIn) (s store.TailScope, err error) {
	if err := c.permit(opTail); err != nil {
		return s, err
	}
	s = store.TailScope{EnvironmentID: c.EnvironmentID, EventTypes: in.EventTypes, Failed: in.Status != ""}
	named := in.Application
	if named == "" {
		named = string(c.ApplicationID)
	}
	if named != "" {
		app, err := m.findApp(ctx, c, named)
		if err != nil {
			return s, err
		}
		s.ApplicationRef = app.Ref
	}
	if in.Source != "" {
		src, err := m.findSource(ctx, c, in.Source)
		if err != nil {
			return s, err
		}
		s.SourceRef = src.Ref
	}
	var v check
	v.filterNames(in.EventTypes, "", "")
	if in.Status != "" && in.Status != "failed" {
		v.wrong("must be failed, or left out", "query", "status")
	}
	if !in.Since.IsZero() && in.Since.Before(time.Now().Add(-tailWindow-slack)) {
		v.wrong("must not be more than a day ago", "query", "since")
	}
	v.tailKinds(in, &s)
	return s, v.err()
}

// tailKinds says which kinds there are to see. A message has no status, and only requests have a source.
func (v *check) tailKinds(in *TailIn, s *store.TailScope) {
	wants := func(kind string) bool { return len(in.Kinds) == 0 || slices.Contains(in.Kinds, kind) }
	for _, kind := range in.Kinds {
		switch {
		case !slices.Contains([]string{"message", "attempt", "request"}, kind):
			v.wrong("must be message, attempt or request", "query", "kind")
		case in.Source != "" && kind != "request":
			v.wrong("only requests have a source", "query", "kind")
		case in.Status != "" && kind == "message":
			v.wrong("messages have no status", "query", "kind")
		}
	}
	s.Messages = wants("message") && in.Source == "" && in.Status == ""
	s.Attempts = wants("attempt") && in.Source == ""
	s.Requests = wants("request")
}

// ApplicationOf is the id of an application that the caller watches.
func (m *Manager) ApplicationOf(ctx context.Context, ref hark.Ref) (hark.ApplicationID, error) {
	app, err := m.directory.ByRef(ctx, ref)
	if err != nil {
		return "", err
	}
	return app.ID, nil
}
