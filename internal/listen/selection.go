package listen

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

// A selection is what somebody listens to: a source, event types and a filter, or everything. Each has a consumer of
// its own, so that two terminals that listen to different things do not disturb each other, and each goes on
// where it stopped. Those of one machine and application have one secret.

// selection is what a consumer is to take.
type selection struct {
	source string // its id; "" for all
	types  []string
	filter json.RawMessage
}

// selected is what was asked for, in one form: the order of types, and how a filter is written, change nothing.
func (l *Listener) selected(source *sourceOut) selection {
	var s selection
	if l.opt.Source != "" && source != nil {
		s.source = source.ID
	}
	if len(l.opt.EventTypes) > 0 {
		types := slices.Clone(l.opt.EventTypes)
		slices.Sort(types)
		s.types = slices.Compact(types)
	}
	s.filter = normal(l.opt.Filter)
	return s
}

// normal is JSON in one form: without spaces, keys in order, numbers as they are.
func normal(text json.RawMessage) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || v == nil {
		return nil
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return out
}

// name tells selections apart; that of everything is "".
func (s *selection) name() string {
	if s.source == "" && s.types == nil && s.filter == nil {
		return ""
	}
	text, _ := json.Marshal([]any{s.source, s.types, s.filter}) // never fails: the filter was JSON
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:nameBytes])
}

const nameBytes = 6

// match is the filter of the consumer: what was asked for, and that it came from the source.
func (s *selection) match() (json.RawMessage, error) {
	if s.source == "" {
		return s.filter, nil
	}
	from := map[string]any{"$request": map[string]string{"source": s.source}}
	if s.filter == nil {
		return json.Marshal(from)
	}
	return json.Marshal(map[string]any{"$and": []any{from, s.filter}})
}

// uid is what this machine's source, and its consumer of everything, are called.
func (l *Listener) uid() string { return "listen-" + l.opt.Machine }

// uidOf is what the consumer of a selection is called.
func (l *Listener) uidOf(s *selection) string {
	return strings.TrimSuffix(l.uid()+"-"+s.name(), "-")
}

// secret is what the consumers of this machine in an application are made with; "" leaves it to the server.
func (l *Listener) secret(ctx context.Context, app hark.ApplicationID) (string, error) {
	if l.opt.Secret != "" {
		return l.opt.Secret, nil
	}
	var first struct {
		Key string `json:"key"`
	}
	err := l.api.do(ctx, http.MethodGet, path("app", string(app), "consumer", l.uid(), "secret"), nil, &first)
	if err == nil || !isStatus(err, http.StatusNotFound) {
		return first.Key, err
	}
	if l.opt.MachineKey == "" {
		return "", nil
	}
	mac := hmac.New(sha256.New, []byte(l.opt.MachineKey))
	mac.Write([]byte("hark listen\x00" + string(app)))
	return "whsec_" + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// Metadata of a consumer, by which a machine knows its own, and when it used it last.
const (
	ownerMark = "hark-listen"
	usedMark  = "hark-listen-used"
)

// marked is metadata with this machine's mark of today, and whether it had that already.
func (l *Listener) marked(metadata map[string]string, now time.Time) (_ map[string]string, fresh bool) {
	today := now.UTC().Format(time.DateOnly)
	if metadata[ownerMark] == l.opt.Machine && metadata[usedMark] == today {
		return metadata, true
	}
	out := maps.Clone(metadata)
	if out == nil {
		out = map[string]string{}
	}
	out[ownerMark], out[usedMark] = l.opt.Machine, today
	return out, false
}

// markEvery is how often it is looked whether the day has changed.
const markEvery = time.Hour

// stayMarked marks the consumer as used every day, for as long as it is listened to.
func (l *Listener) stayMarked(ctx context.Context) {
	every := time.NewTicker(markEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			l.mark(ctx)
		}
	}
}

// mark marks the consumer as used today, if it is not.
func (l *Listener) mark(ctx context.Context) {
	l.mu.Lock()
	own, app := l.own, l.session.ApplicationID
	l.mu.Unlock()
	metadata, fresh := l.marked(own.Metadata, time.Now())
	if fresh {
		return
	}
	var now consumerOut
	err := l.api.do(ctx, http.MethodPatch, path("app", string(app), "consumer", string(own.ID)), map[string]any{"metadata": metadata}, &now)
	if err != nil { // it is tried again
		l.opt.Log.LogAttrs(ctx, slog.LevelDebug, "mark the consumer", slog.Any("err", err))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own.ID == now.ID {
		l.own = now
	}
}

// longUnused is how long a selection is kept that this machine does not listen to any more.
const longUnused = 30 * 24 * time.Hour

// removeUnused removes this machine's consumers in the application that it has not used for long, by the
// server's clock. Another's are not touched, and what cannot be removed stays.
func (l *Listener) removeUnused(ctx context.Context, app hark.ApplicationID, own consumerOut) {
	of := regexp.MustCompile("^" + regexp.QuoteMeta(l.uid()) + "(-[0-9a-f]{12})?$")
	unused := l.opt.Unused
	if unused == 0 {
		unused = longUnused
	}
	for from, done := "", false; !done; {
		var page struct {
			Data     []consumerOut `json:"data"`
			Iterator string        `json:"iterator"`
			Done     bool          `json:"done"`
		}
		err := l.api.do(ctx, http.MethodGet, path("app", string(app), "consumer")+"?limit=250&iterator="+url.QueryEscape(from), nil, &page)
		for _, c := range page.Data {
			isOurs := c.ID != own.ID && of.MatchString(c.UID) && c.Metadata[ownerMark] == l.opt.Machine
			if isOurs && own.UpdatedAt.Sub(c.UpdatedAt) > unused {
				err = l.api.do(ctx, http.MethodDelete, path("app", string(app), "consumer", string(c.ID)), nil, nil)
			}
		}
		if err != nil {
			l.opt.Log.LogAttrs(ctx, slog.LevelDebug, "remove unused consumers", slog.Any("err", err))
			return
		}
		done = page.Done || page.Iterator == "" || page.Iterator == from
		from = page.Iterator
	}
}
