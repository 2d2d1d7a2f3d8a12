package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// watcher reads the server's tail, through broken connections and restarts: each event once.
type watcher struct {
	api   *client
	sh    *shell
	query url.Values
	known known
	last  string // the id of the last event
}

// tailOut is one thing that happened.
type tailOut struct {
	Kind          string      `json:"kind"`
	ApplicationID string      `json:"applicationId"`
	Message       *messageOut `json:"message"`
	Attempt       *attemptOut `json:"attempt"`
	Request       *requestOut `json:"request"`
	Skipped       int         `json:"skipped"`
}

// id tells an event from those that come again.
func (e *tailOut) id() string {
	switch {
	case e.Message != nil:
		return e.Message.ID
	case e.Attempt != nil:
		return e.Attempt.ID
	case e.Request != nil:
		return e.Request.ID
	}
	return ""
}

const (
	watchAgain = time.Second
	// watchSilence is how long a connection may say nothing: the server's heartbeat is more often.
	watchSilence = 45 * time.Second
	// maxEventBytes bounds one event.
	maxEventBytes = 1 << 20
)

// errEnough ends a watch from within.
var errEnough = errors.New("enough")

// watch calls each for every event until ctx ends, or each answers an error (errEnough is none).
func (w *watcher) watch(ctx context.Context, each func(e *tailOut, raw []byte) error) error {
	for away := false; ; {
		err := w.connect(ctx, func() {
			if away {
				w.sh.note("Connected again.")
			}
			away = false
		}, func(raw []byte) error {
			var e tailOut
			if err := json.Unmarshal(raw, &e); err != nil {
				return fmt.Errorf("read an event: %w", err)
			}
			if id := e.id(); id != "" && !w.known.add(id) {
				return nil
			}
			return each(&e, raw)
		})
		started := w.last != "" || away
		switch {
		case errors.Is(err, errEnough), ctx.Err() != nil:
			return nil
		case err != nil && (!started || !isPassing(err)):
			return err
		case !away:
			away = true
			w.sh.note("The connection is gone; connecting again …")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchAgain):
		}
	}
}

// connect reads one connection to its end.
func (w *watcher) connect(ctx context.Context, connected func(), each func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api.base+"/api/v1/tail?"+w.query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+w.api.key)
	req.Header.Set("User-Agent", "hark-cli")
	if w.last != "" {
		req.Header.Set("Last-Event-ID", w.last)
	}
	patience := time.AfterFunc(watchSilence, cancel)
	defer patience.Stop()
	resp, err := (&http.Client{CheckRedirect: w.api.http.CheckRedirect}).Do(req) // without its time limit
	if err != nil {
		return hintf(exitUnreachable, w.api.via.elsewhere(), "cannot reach %s: %w", w.api.base, unwrapURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxEventBytes)) // what there is of it
		return w.api.via.explain(readAPIError(resp, text, http.MethodGet, "/api/v1/tail"), w.api.base)
	}
	connected()
	if w.last == "" { // so that a first connection that breaks at once is taken up, too
		w.last = time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano)
		if since := w.query.Get("since"); since != "" {
			w.last = since
		}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventBytes)
	for lines.Scan() {
		patience.Reset(watchSilence)
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			w.last = id
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := each([]byte(data)); err != nil {
				return err
			}
		}
	}
	return nil // however it ended: it is taken up
}

// known are the last ids that came.
type known struct {
	ids  map[string]bool
	ring []string
	next int
}

// knownIDs is as many as can come within the time that is looked back after a broken connection.
const knownIDs = 100_000

// add answers whether the id is new.
func (k *known) add(id string) bool {
	if k.ids[id] {
		return false
	}
	if k.ids == nil {
		k.ids = map[string]bool{}
	}
	k.ids[id] = true
	if len(k.ring) < knownIDs {
		k.ring = append(k.ring, id)
		return true
	}
	delete(k.ids, k.ring[k.next])
	k.ring[k.next] = id
	k.next = (k.next + 1) % knownIDs
	return true
}
