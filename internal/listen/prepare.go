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
// if none was named, and this machine's consumer and source in the application. Their secret and URL stay.
// Other consumers and sources are not touched.
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
	s.ConsumerID = consumer
	var secret struct {
		Key string `json:"key"`
	}
	if err := l.api.do(ctx, http.MethodGet, path("app", string(app), "consumer", string(consumer), "secret"), nil, &secret); err != nil {
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
	s.URL = source.URL
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session, l.key = s, key
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
	ID         hark.EndpointID `json:"id"`
	EventTypes []string        `json:"eventTypes"`
	Filter     json.RawMessage `json:"filter"`
	Disabled   bool            `json:"disabled"`
	Paused     bool            `json:"paused"`
}

// uid is what this machine's things are called.
func (l *Listener) uid() string { return "listen-" + l.opt.Machine }

// consumer finds this machine's consumer, or makes it, and has it take what is listened to.
func (l *Listener) consumer(ctx context.Context, app hark.ApplicationID, source *sourceOut) (hark.EndpointID, error) {
	filter, err := l.filter(source)
	if err != nil {
		return "", err
	}
	types := l.opt.EventTypes
	if len(types) == 0 {
		types = nil
	}
	var found consumerOut
	own := path("app", string(app), "consumer", l.uid())
	err = l.api.do(ctx, http.MethodGet, own, nil, &found)
	if isStatus(err, http.StatusNotFound) {
		in := map[string]any{"uid": l.uid(), "description": "hark listen on " + l.opt.Machine, "eventTypes": types, "filter": filter}
		if l.opt.Secret != "" {
			in["secret"] = l.opt.Secret
		}
		if since, err := time.Parse(time.RFC3339Nano, l.opt.From); err == nil {
			in["since"] = since
		}
		err = l.api.do(ctx, http.MethodPost, path("app", string(app), "consumer"), in, &found)
		if !isStatus(err, http.StatusConflict) {
			return found.ID, err
		}
		err = l.api.do(ctx, http.MethodGet, own, nil, &found) // another listener was faster
	}
	if err != nil {
		return "", err
	}
	if slices.Equal(found.EventTypes, types) && sameJSON(found.Filter, filter) && !found.Disabled && !found.Paused {
		return found.ID, nil
	}
	in := map[string]any{"eventTypes": types, "filter": filter, "disabled": false, "paused": false}
	return found.ID, l.api.do(ctx, http.MethodPatch, own, in, &found)
}

// filter is what messages must match: what was asked for, and that they came from the source.
func (l *Listener) filter(source *sourceOut) (json.RawMessage, error) {
	if source == nil || l.opt.Source == "" {
		return l.opt.Filter, nil
	}
	from := map[string]any{"$request": map[string]string{"source": source.ID}}
	if l.opt.Filter == nil {
		return json.Marshal(from)
	}
	return json.Marshal(map[string]any{"$and": []any{from, l.opt.Filter}})
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
