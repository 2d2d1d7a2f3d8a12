package manage

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/webhook"
)

// maxSources is how many sources an environment may have: some lists look at all of them.
const maxSources = 1000

// source finds a source that the caller may reach. To a caller that is restricted to one application
// the sources of others do not exist.
func (m *Manager) source(ctx context.Context, c *Caller, op operation, idOrUID string) (hark.Source, error) {
	if err := c.permit(op); err != nil {
		return hark.Source{}, err
	}
	return m.findSource(ctx, c, idOrUID)
}

func (m *Manager) findSource(ctx context.Context, c *Caller, idOrUID string) (hark.Source, error) {
	src, err := m.store.Source(ctx, c.EnvironmentID, idOrUID)
	if err == nil && c.ApplicationID != "" && src.ApplicationID != c.ApplicationID {
		err = hark.ErrNotFound
	}
	if err != nil {
		return hark.Source{}, err
	}
	return src, nil
}

// AllowSource says whether there is a source that the caller may reach, before a face reads more.
func (m *Manager) AllowSource(ctx context.Context, c Caller, idOrUID string) error {
	if c.Portal {
		return errForbidden
	}
	_, err := m.findSource(ctx, &c, idOrUID)
	return err
}

// sourceOut shows a source to a caller.
func (m *Manager) sourceOut(c *Caller, src hark.Source) SourceOut {
	out := SourceOut{Source: src}
	if len(src.Tokens) > 0 && rank(c.Scope) >= rank(hark.ScopeAdmin) {
		out.IngestURL = m.ingestURL + ingest.Prefix + src.Tokens[0].Key.Reveal()
	}
	out.Tokens, out.Params = nil, nil
	return out
}

// CreateSource adds a source, and an application for it if none is named.
func (m *Manager) CreateSource(ctx context.Context, c Caller, in SourceIn) (SourceOut, error) {
	if err := c.permit(opSourceCreate); err != nil {
		return SourceOut{}, err
	}
	return m.createSource(ctx, &c, in)
}

func (m *Manager) createSource(ctx context.Context, c *Caller, in SourceIn) (SourceOut, error) {
	now := moment()
	src := hark.Source{ID: hark.NewSourceID(now), EnvironmentID: c.EnvironmentID, CreatedAt: now, UpdatedAt: now,
		Tokens: []hark.Secret{{Key: ingest.NewToken(), CreatedAt: now}}}
	var v check
	if !in.Name.Given() {
		in.Name = Some(in.Provider.Value)
	}
	for _, s := range in.Secrets {
		src.Secrets = append(src.Secrets, hark.Secret{Key: hark.SecretKey(s), CreatedAt: now})
	}
	if in.Cron != nil {
		src.Tokens = nil
	}
	in.SourcePatch.apply(&v, &src)
	v.wholeSource(&src)
	in.Cron.check(&v, &src, now)
	if len(src.Secrets) > maxSourceSecrets {
		v.wrong("must not be more than 10", "body", "secrets")
	}
	app, err := m.applicationOfSource(ctx, c, &v, &in)
	if err != nil {
		return SourceOut{}, err
	}
	if err := v.err(); err != nil {
		return SourceOut{}, err
	}
	all, err := m.allSources(ctx, c)
	if err != nil {
		return SourceOut{}, err
	}
	if len(all) >= maxSources {
		return SourceOut{}, hark.Errorf(hark.LimitReached, "An environment can have %d sources.", maxSources)
	}
	if app == nil {
		if app, err = m.ownApplication(ctx, c, &src); err != nil {
			return SourceOut{}, err
		}
	}
	src.ApplicationRef = app.Ref
	row, err := m.store.InsertSource(ctx, src)
	if err != nil {
		return SourceOut{}, err
	}
	if in.Cron != nil {
		if err := m.addCron(ctx, in.Cron, &row, app, now); err != nil {
			return SourceOut{}, errors.Join(err, m.store.DeleteSource(ctx, c.EnvironmentID, string(row.ID), now))
		}
	}
	m.sourceChanged(ctx, c, opSourceCreate, &row)
	return m.withCron(ctx, m.sourceOut(c, row), nil)
}

// applicationOfSource finds the application that a source is to belong to; nil when it gets one of its own.
func (m *Manager) applicationOfSource(ctx context.Context, c *Caller, v *check, in *SourceIn) (*directory.Application, error) {
	name := in.Application.Value
	if !in.Application.Given() {
		if name = string(c.ApplicationID); name == "" {
			return nil, nil
		}
	}
	app, err := m.findApp(ctx, c, name)
	if errors.Is(err, hark.ErrNotFound) {
		v.wrong("there is no such application", "body", "applicationId")
		return nil, nil
	}
	return app, err
}

// ownApplication makes an application for a source. When its uid is taken already the source's own
// would be, too, and says so.
func (m *Manager) ownApplication(ctx context.Context, c *Caller, src *hark.Source) (*directory.Application, error) {
	if src.UID != "" {
		if other, err := m.store.Source(ctx, c.EnvironmentID, src.UID); err == nil {
			return nil, &hark.Error{Code: hark.Conflict, Detail: "A source with this uid already exists", Existing: string(other.ID)}
		}
	}
	row, _, err := m.createApplication(ctx, c, ApplicationIn{Name: src.Name, Metadata: map[string]string{"hark.source": string(src.ID)}}, false)
	if err != nil {
		return nil, err
	}
	return m.directory.ByRef(ctx, row.Ref)
}

// sourceChanged tells everybody, and leaves a line.
func (m *Manager) sourceChanged(ctx context.Context, c *Caller, op operation, src *hark.Source) {
	m.directory.Forget(src.ApplicationRef) // its version was counted up
	m.ingest.Forget(src.ApplicationRef)
	m.audit(ctx, c, op, slog.String("app", string(src.ApplicationID)), slog.String("source", string(src.ID)))
}

// Source finds a source by id or uid.
func (m *Manager) Source(ctx context.Context, c Caller, source string) (SourceOut, error) {
	src, err := m.source(ctx, &c, opSourceGet, source)
	return m.withCron(ctx, m.sourceOut(&c, src), err)
}

// The states of a source.
const (
	sourceEnabled  = "enabled"
	sourceFailing  = "failing" // nothing of what comes can be verified
	sourceDisabled = "disabled"
)

// State is one word for how the source does.
func (s *SourceOut) State() string {
	switch {
	case s.Disabled:
		return sourceDisabled
	case !s.FailingSince.IsZero():
		return sourceFailing
	}
	return sourceEnabled
}

// ListSources lists sources, oldest first unless asked otherwise; app and state, when not "", narrow the
// list to one application's and to those in that state.
func (m *Manager) ListSources(ctx context.Context, c Caller, app, state string, in ListIn) (p Page[SourceOut], err error) {
	if err := c.permit(opSourceList); err != nil {
		return p, err
	}
	if app == "" {
		app = string(c.ApplicationID)
	}
	var ref hark.Ref
	if app != "" {
		a, err := m.findApp(ctx, &c, app)
		if err != nil {
			return p, err
		}
		ref = a.Ref
	}
	var v check
	l := v.list(in, hark.SourcePrefix, false)
	if state != "" && !slices.Contains([]string{sourceEnabled, sourceFailing, sourceDisabled}, state) {
		v.wrong("must be enabled, failing or disabled", "query", "status")
	}
	if err := v.err(); err != nil {
		return p, err
	}
	out, err := m.sourcesInState(ctx, &c, ref, state, l.page)
	if err != nil {
		return p, err
	}
	for i := range out {
		if out[i], err = m.withCron(ctx, out[i], nil); err != nil {
			return p, err
		}
	}
	return pageOf(l, out, func(s *SourceOut) string { return string(s.ID) }), nil
}

// sourcesInState reads on, page after page, until there are enough in a state; "" is every state. An
// environment has few enough sources to look at all of them.
func (m *Manager) sourcesInState(ctx context.Context, c *Caller, app hark.Ref, state string, page store.Page) (out []SourceOut, err error) {
	for {
		rows, err := m.store.ListSources(ctx, c.EnvironmentID, app, page)
		if err != nil {
			return nil, err
		}
		var some []SourceOut
		for i := range rows {
			if s := m.sourceOut(c, rows[i]); state == "" || s.State() == state {
				some = append(some, s)
			}
		}
		if page.Backward {
			out = append(some, out...)
			out = out[max(0, len(out)-page.Limit):]
		} else {
			out = append(out, some...)
			out = out[:min(len(out), page.Limit)]
		}
		if len(rows) < page.Limit || len(out) == page.Limit {
			return out, nil
		}
		if page.From = string(rows[len(rows)-1].ID); page.Backward {
			page.From = string(rows[0].ID)
		}
	}
}

// UpsertSource changes a source, or creates one if there is none by that id or uid.
func (m *Manager) UpsertSource(ctx context.Context, c Caller, source string, in SourceIn) (out SourceOut, created bool, err error) {
	if err := c.permit(opSourceUpsert); err != nil {
		return out, false, err
	}
	src, err := m.findSource(ctx, &c, source)
	if errors.Is(err, hark.ErrNotFound) {
		out, err = m.createSource(ctx, &c, in)
		return out, err == nil, err
	}
	if err != nil {
		return out, false, err
	}
	now := moment()
	row, err := m.updateSource(ctx, &c, opSourceUpsert, &src, in.Cron, func(v *check, s *hark.Source) {
		in.SourcePatch.apply(v, s)
		if in.Secrets != nil {
			s.Secrets = nil
			for _, text := range in.Secrets {
				s.Secrets = append(s.Secrets, hark.Secret{Key: hark.SecretKey(text), CreatedAt: now})
			}
		}
	})
	out, err = m.withCron(ctx, m.sourceOut(&c, row), err)
	return out, false, err
}

// PatchSource changes the fields that are set.
func (m *Manager) PatchSource(ctx context.Context, c Caller, source string, in SourcePatch) (SourceOut, error) {
	src, err := m.source(ctx, &c, opSourcePatch, source)
	if err != nil {
		return SourceOut{}, err
	}
	row, err := m.updateSource(ctx, &c, opSourcePatch, &src, nil, in.apply)
	return m.withCron(ctx, m.sourceOut(&c, row), err)
}

// updateSource changes a source; cron, when not nil, is what it sends from now on.
func (m *Manager) updateSource(ctx context.Context, c *Caller, op operation, src *hark.Source, cron *CronIn, change func(*check, *hark.Source)) (hark.Source, error) {
	now := moment()
	row, err := m.store.UpdateSource(ctx, c.EnvironmentID, string(src.ID), func(s *hark.Source) error {
		var v check
		sends := s.Kind == KindCron
		change(&v, s)
		if sends != (s.Kind == KindCron) || !sends && cron != nil {
			v.wrong("one that is called and one that sends on a schedule cannot become each other: create another", "body", "type")
		}
		if sends && s.Kind == KindCron && (s.Provider != "" || s.Scheme != nil || len(s.Secrets) > 0) {
			return errNotCalled
		}
		v.wholeSource(s)
		cron.check(&v, s, now)
		s.UpdatedAt = now
		return v.err()
	})
	if err == nil {
		err = m.changeCron(ctx, cron, &row, now)
	}
	if err != nil {
		return hark.Source{}, err
	}
	m.sourceChanged(ctx, c, op, &row)
	return row, nil
}

// DeleteSource makes a source disappear; the messages that came from it stay.
func (m *Manager) DeleteSource(ctx context.Context, c Caller, source string) error {
	src, err := m.source(ctx, &c, opSourceDelete, source)
	if err != nil {
		return err
	}
	if err := m.removeCron(ctx, &src); err != nil {
		return err
	}
	if err := m.store.DeleteSource(ctx, c.EnvironmentID, string(src.ID), time.Now()); err != nil {
		return err
	}
	m.sourceChanged(ctx, &c, opSourceDelete, &src)
	return nil
}

// Bounds of rotation.
const (
	tokenOverlap     = 48 * time.Hour // as Svix has it
	maxOldTokens     = 3
	maxSourceSecrets = 10
)

// RotateSourceToken gives a source a new URL; the old ones work for two days more.
func (m *Manager) RotateSourceToken(ctx context.Context, c Caller, source string) (SourceOut, error) {
	src, err := m.source(ctx, &c, opSourceToken, source)
	if err != nil {
		return SourceOut{}, err
	}
	now, fresh := moment(), ingest.NewToken()
	row, err := m.store.UpdateSource(ctx, c.EnvironmentID, string(src.ID), func(s *hark.Source) error {
		if s.Kind == KindCron {
			return errNotCalled
		}
		s.Tokens, s.UpdatedAt = rotated(s.Tokens, fresh, now, tokenOverlap), now
		if len(s.Tokens)-1 > maxOldTokens {
			return hark.Errorf(hark.LimitReached, "At most %d rotations in 48 hours.", maxOldTokens)
		}
		return nil
	})
	if err != nil {
		return SourceOut{}, err
	}
	m.sourceChanged(ctx, &c, opSourceToken, &row)
	return m.sourceOut(&c, row), nil
}

// PinSource gives a source the token of a seed in place of those that it has, so that its URL is the same in
// whatever store that is done. It is for whoever runs the server, and no face offers it: who may choose tokens
// finds out which there are.
func (m *Manager) PinSource(ctx context.Context, env hark.EnvironmentID, source string, seed []byte) error {
	now := moment()
	row, err := m.store.UpdateSource(ctx, env, source, func(s *hark.Source) error {
		if s.Kind == KindCron {
			return errNotCalled
		}
		s.Tokens, s.UpdatedAt = []hark.Secret{{Key: ingest.TokenOf(seed), CreatedAt: now}}, now
		return nil
	})
	if err != nil {
		return err
	}
	m.sourceChanged(ctx, &Caller{EnvironmentID: env, Actor: "hark: pinned"}, opSourceToken, &row)
	return nil
}

// RotateSourceSecret adds the secret that the provider signs with now; those before it are good for the
// grace period more.
func (m *Manager) RotateSourceSecret(ctx context.Context, c Caller, source string, in RotateIn) (SourceOut, error) {
	src, err := m.source(ctx, &c, opSourceSecret, source)
	if err != nil {
		return SourceOut{}, err
	}
	var v check
	v.between(in.GracePeriodSeconds, 0, maxGrace, "body", "gracePeriodSeconds")
	if in.Key.Value == "" {
		v.wrong("field required: the provider makes the secret", "body", "key")
	}
	if err := v.err(); err != nil {
		return SourceOut{}, err
	}
	grace := time.Duration(defaultGrace) * time.Second
	if in.GracePeriodSeconds.Given() {
		grace = time.Duration(in.GracePeriodSeconds.Value) * time.Second
	}
	now := moment()
	row, err := m.updateSource(ctx, &c, opSourceSecret, &src, nil, func(v *check, s *hark.Source) {
		s.Secrets = rotated(s.Secrets, hark.SecretKey(in.Key.Value), now, grace)
		if len(s.Secrets) > maxSourceSecrets {
			v.wrong("there are ten secrets already", "body", "key")
		}
	})
	return m.sourceOut(&c, row), err
}

// allSources are those that the caller may see.
func (m *Manager) allSources(ctx context.Context, c *Caller) ([]hark.Source, error) {
	return m.sourcesOf(ctx, c, "")
}

// sourcesOf are those of an application; of "" all that the caller may see.
func (m *Manager) sourcesOf(ctx context.Context, c *Caller, application string) ([]hark.Source, error) {
	if application == "" {
		application = string(c.ApplicationID)
	}
	var ref hark.Ref
	if application != "" {
		app, err := m.findApp(ctx, c, application)
		if err != nil {
			return nil, err
		}
		ref = app.Ref
	}
	var v check
	l := v.list(ListIn{}, hark.SourcePrefix, false)
	l.page.Limit = maxSources
	return m.store.ListSources(ctx, c.EnvironmentID, ref, l.page)
}

// Provider describes whose webhooks can be verified, and how.
type Provider = webhook.Provider

// ListProviders lists the providers whose webhooks can be verified.
func (m *Manager) ListProviders(_ context.Context, c Caller) ([]Provider, error) {
	return webhook.Providers(), c.permit(opSourceList)
}
