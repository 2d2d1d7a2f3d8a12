package manage

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
)

// KindCron is what clients written for Svix call a source that nobody calls: it sends a payload of its own
// on a schedule. Here that is a poller without a URL, in the source's application, which has the source's
// id for its uid. The source stands for it in lists.
const KindCron = "cron"

// CronIn says what such a source sends, and when.
type CronIn struct {
	Schedule string // a cron line, in UTC
	Payload  string // a JSON object
}

// cronEventType is the event type of what it sends.
const cronEventType = "cron"

// errNotCalled is what is said of a source that sends by itself where one is meant that is called.
var errNotCalled = &hark.Error{Code: hark.Conflict, Detail: "The source sends on a schedule: it has no URL, no secrets and nothing to verify"}

// poller is the poller of a source. What is wrong with it is said of the source's config.
func (in *CronIn) poller(v *check, src *hark.Source, p *hark.Poller, now time.Time) {
	var own check
	ask := PollerIn{
		UID: Some(string(src.ID)), Name: Some(src.Name), Paused: Some(src.Disabled), Cron: Some(in.Schedule), EventType: Some(cronEventType),
	}
	ask.Payload = Some(json.RawMessage(`""`)) // which is refused
	if json.Valid([]byte(in.Payload)) {
		ask.Payload.Value = json.RawMessage(in.Payload)
	}
	ask.apply(&own, p, false, now)
	for _, f := range own.fields {
		at := "payload"
		if last := f.Loc[len(f.Loc)-1]; last == "cron" || last == "everySeconds" {
			at = "schedule"
		}
		v.wrong(f.Msg, "body", "config", at)
	}
}

// check says what is wrong with the config of a source that is to be kept.
func (in *CronIn) check(v *check, src *hark.Source, now time.Time) {
	if in != nil {
		in.poller(v, src, &hark.Poller{PollerSettings: hark.PollerSettings{IDPath: "/id"}}, now)
	}
}

// addCron adds the poller of a new source; without one there is no source either.
func (m *Manager) addCron(ctx context.Context, in *CronIn, src *hark.Source, app *directory.Application, now time.Time) error {
	p := hark.Poller{ID: hark.NewPollerID(now), ApplicationRef: app.Ref, ApplicationID: app.ID, EnvironmentID: app.EnvironmentID,
		PollerSettings: hark.PollerSettings{IDPath: "/id"}, CreatedAt: now}
	var v check
	if in.poller(&v, src, &p, now); v.err() != nil {
		return v.err()
	}
	if _, err := m.store.InsertPoller(ctx, p); err != nil {
		return err
	}
	m.pollers.Wake()
	return nil
}

// changeCron makes the poller of a source what the source is now; in, when not nil, is its new config. A
// poller that somebody has deleted is made again.
func (m *Manager) changeCron(ctx context.Context, in *CronIn, src *hark.Source, now time.Time) error {
	if src.Kind != KindCron {
		return nil
	}
	_, err := m.store.UpdatePoller(ctx, src.ApplicationRef, string(src.ID), func(p *hark.Poller) error {
		config := in
		if config == nil {
			config = &CronIn{Schedule: p.Cron, Payload: string(p.Payload)}
		}
		var v check
		config.poller(&v, src, p, now)
		return v.err()
	})
	if errors.Is(err, hark.ErrNotFound) && in != nil {
		app, err := m.directory.ByRef(ctx, src.ApplicationRef)
		if err != nil {
			return err
		}
		return m.addCron(ctx, in, src, app, now)
	}
	if errors.Is(err, hark.ErrNotFound) {
		return nil // and it sends nothing
	}
	m.pollers.Wake()
	return err
}

// removeCron removes the poller of a source that is to be deleted.
func (m *Manager) removeCron(ctx context.Context, src *hark.Source) error {
	if src.Kind != KindCron {
		return nil
	}
	if err := m.store.DeletePoller(ctx, src.ApplicationRef, string(src.ID)); !errors.Is(err, hark.ErrNotFound) {
		return err
	}
	return nil
}

// withCron shows what a source sends, and when.
func (m *Manager) withCron(ctx context.Context, out SourceOut, err error) (SourceOut, error) {
	if err != nil || out.Kind != KindCron {
		return out, err
	}
	p, err := m.store.Poller(ctx, out.ApplicationRef, string(out.ID))
	if errors.Is(err, hark.ErrNotFound) {
		return out, nil
	}
	if err == nil {
		out.Cron = &CronIn{Schedule: p.Cron, Payload: string(p.Payload)}
	}
	return out, err
}
