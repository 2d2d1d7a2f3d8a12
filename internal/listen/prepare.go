package listen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// LocalApplication is the uid of the application that is used when none is named.
const LocalApplication = "local"

// Prepare finds what there is to listen with, and makes what is missing: the application for local development,
// if none was named, and this machine's consumer of what is selected, and its source, in the application. Their
// secret and URL stay. Consumers of this machine that it has not used for a month are removed; others, and other
// sources, are not touched.
func (l *Listener) Prepare(ctx context.Context) (Session, error) {
	app, source, err := l.application(ctx)
	if err != nil {
		return Session{}, err
	}
	s := Session{ApplicationID: app}
	consumer, err := l.consumer(ctx, app, source)
	if err != nil {
		return Session{}, err
	}
	s.ConsumerID = consumer.ID
	l.removeUnused(ctx, app, consumer)
	var secret struct {
		Key string `json:"key"`
	}
	if err := l.api.do(ctx, http.MethodGet, path("app", string(app), "consumer", string(consumer.ID), "secret"), nil, &secret); err != nil {
		return Session{}, err
	}
	s.Secret = secret.Key
	key, err := webhook.ParseKey(secret.Key)
	if err != nil {
		return Session{}, fmt.Errorf("read the secret: %w", err)
	}
	if source == nil {
		if source, err = l.ownSource(ctx, app); err != nil {
			return Session{}, err
		}
	}
	s.SourceID, s.URL = source.ID, source.URL
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.key, l.own = s, key, consumer
	return s, nil
}

type sourceOut struct {
	ID            string             `json:"id"`
	ApplicationID hark.ApplicationID `json:"applicationId"`
	URL           string             `json:"url"`
}

type applicationOut struct {
	ID hark.ApplicationID `json:"id"`
}

// application finds whose messages to listen to, and the source if one was named.
func (l *Listener) application(ctx context.Context) (hark.ApplicationID, *sourceOut, error) {
	var source *sourceOut
	name := l.opt.Application
	if l.opt.Source != "" {
		source = new(sourceOut)
		if err := l.api.do(ctx, http.MethodGet, path("source", l.opt.Source), nil, source); err != nil {
			return "", nil, called(err, "source", l.opt.Source)
		}
		if name == "" {
			return source.ApplicationID, source, nil
		}
	}
	wanted := name
	if wanted == "" {
		wanted = LocalApplication
	}
	var app applicationOut
	err := l.api.do(ctx, http.MethodGet, path("app", wanted), nil, &app)
	if name == "" && isStatus(err, http.StatusNotFound) {
		err = l.api.do(ctx, http.MethodPost, path("app")+"?get_if_exists=true", map[string]string{"name": "Local development", "uid": LocalApplication}, &app)
	}
	if err != nil {
		return "", nil, called(err, "application", wanted)
	}
	if source != nil && source.ApplicationID != app.ID {
		return "", nil, fmt.Errorf("the source %s belongs to another application", l.opt.Source)
	}
	return app.ID, source, nil
}

// called makes a 404 say what is missing.
func called(err error, kind, name string) error {
	if e, ok := errors.AsType[*APIError](err); ok && e.Status == http.StatusNotFound {
		e.What = fmt.Sprintf("%s %q", kind, name)
	}
	return err
}

type consumerOut struct {
	ID         hark.EndpointID   `json:"id"`
	UID        string            `json:"uid"`
	EventTypes []string          `json:"eventTypes"`
	Filter     json.RawMessage   `json:"filter"`
	Disabled   bool              `json:"disabled"`
	Paused     bool              `json:"paused"`
	Metadata   map[string]string `json:"metadata"`
	UpdatedAt  time.Time         `json:"updatedAt"`
}

// consumer finds this machine's consumer of what is listened to, or makes it, and has it take just that.
func (l *Listener) consumer(ctx context.Context, app hark.ApplicationID, source *sourceOut) (found consumerOut, err error) {
	s := l.selected(source)
	filter, err := s.match()
	if err != nil {
		return found, err
	}
	own := path("app", string(app), "consumer", l.uidOf(&s))
	err = l.api.do(ctx, http.MethodGet, own, nil, &found)
	if isStatus(err, http.StatusNotFound) {
		found, err = l.newConsumer(ctx, app, &s, filter)
		if !isStatus(err, http.StatusConflict) {
			return found, err
		}
		err = l.api.do(ctx, http.MethodGet, own, nil, &found) // another listener was faster
	}
	if err != nil {
		return found, err
	}
	metadata, fresh := l.marked(found.Metadata, time.Now())
	if fresh && slices.Equal(found.EventTypes, s.types) && sameJSON(found.Filter, filter) && !found.Disabled && !found.Paused {
		return found, nil
	}
	in := map[string]any{"eventTypes": s.types, "filter": filter, "disabled": false, "paused": false, "metadata": metadata}
	return found, l.api.do(ctx, http.MethodPatch, own, in, &found)
}

func (l *Listener) newConsumer(ctx context.Context, app hark.ApplicationID, s *selection, filter json.RawMessage) (made consumerOut, err error) {
	metadata, _ := l.marked(nil, time.Now())
	in := map[string]any{
		"uid": l.uidOf(s), "description": "hark listen on " + l.opt.Machine, "eventTypes": s.types, "filter": filter, "metadata": metadata,
	}
	secret, err := l.secret(ctx, app)
	if err != nil {
		return made, err
	}
	if secret != "" {
		in["secret"] = secret
	}
	if since, err := time.Parse(time.RFC3339Nano, l.opt.From); err == nil {
		in["since"] = since
	}
	return made, l.api.do(ctx, http.MethodPost, path("app", string(app), "consumer"), in, &made)
}

// sameJSON compares two JSON values; nil and null are the same.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if len(a) > 0 && json.Unmarshal(a, &x) != nil || len(b) > 0 && json.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}

// ownSource finds this machine's source in the application, or makes it: to its URL anybody can send, and
// nothing is verified but by the program here.
func (l *Listener) ownSource(ctx context.Context, app hark.ApplicationID) (*sourceOut, error) {
	id := strings.ToLower(string(app))
	uid := l.uid() + "-" + id[max(0, len(id)-8):] // sources' uids are the environment's
	var out sourceOut
	err := l.api.do(ctx, http.MethodGet, path("source", uid), nil, &out)
	if isStatus(err, http.StatusNotFound) {
		in := map[string]any{"uid": uid, "name": "hark listen on " + l.opt.Machine, "applicationId": app, "unverified": true}
		err = l.api.do(ctx, http.MethodPost, path("source"), in, &out)
		if isStatus(err, http.StatusConflict) {
			err = l.api.do(ctx, http.MethodGet, path("source", uid), nil, &out)
		}
	}
	return &out, err
}
