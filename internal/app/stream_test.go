package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/config"
)

// fleet is servers that come and go, behind one name.
type fleet struct {
	t    *testing.T
	key  string
	urls atomic.Pointer[[]string]
}

func (f *fleet) url(i int) string {
	urls := *f.urls.Load()
	return urls[i%len(urls)]
}

// publish publishes one message, however often that takes; its event id keeps it one.
func (f *fleet) publish(id string, i int) {
	body := fmt.Sprintf(`{"eventType":"a.b","eventId":%q,"payload":{"n":%q}}`, id, id)
	for f.t.Context().Err() == nil {
		req, _ := http.NewRequestWithContext(f.t.Context(), "POST", f.url(i)+"/api/v1/app/a/msg", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+f.key)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode/100 == 2 || resp.StatusCode == 409 {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// read reads the consumer's stream until it has seen many messages, coming back with the id of the last
// event whenever the stream ends, and answers the messages' event ids. The numbers may have no holes.
func (f *fleet) read(ctx context.Context, many int) (seen []string, streams int, err error) {
	last := ""
	for at := int64(0); len(seen) < many; streams++ {
		if ctx.Err() != nil {
			return seen, streams, fmt.Errorf("%d of %d messages came", len(seen), many)
		}
		req, _ := http.NewRequestWithContext(ctx, "GET", f.url(streams)+"/api/v1/app/a/consumer/k/stream", nil)
		req.Header.Set("Authorization", "Bearer "+f.key)
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			if err == nil {
				_ = resp.Body.Close()
			}
			time.Sleep(5 * time.Millisecond)
			continue
		}
		id := ""
		for lines := bufio.NewScanner(resp.Body); len(seen) < many && lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				id = text
			}
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			seq, err := strconv.ParseInt(strings.TrimPrefix(id, "at_"), 36, 64)
			if at++; err != nil || seq != at {
				return seen, streams, fmt.Errorf("number %s (%d), want %d", id, seq, at)
			}
			var m struct{ EventID string }
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				return seen, streams, err
			}
			seen, last = append(seen, m.EventID), id
		}
		_ = resp.Body.Close()
	}
	return seen, streams, nil
}

// proveGapFree has many publishers and some readers work while turn does to the servers what it likes.
func (f *fleet) proveGapFree(turn func(round int)) {
	f.t.Helper()
	const publishers, each, readers = 4, 250, 3
	ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Minute)
	defer cancel()
	var publishing, reading sync.WaitGroup
	var accepted atomic.Int64
	for p := range publishers {
		publishing.Go(func() {
			for i := range each {
				f.publish(fmt.Sprintf("event-%d-%d", p, i), p)
				accepted.Add(1)
			}
		})
	}
	feeds := make([][]string, readers)
	for r := range readers {
		reading.Go(func() {
			seen, streams, err := f.read(ctx, publishers*each)
			if err != nil {
				f.t.Errorf("reader %d after %d streams: %v", r, streams, err)
			}
			feeds[r] = seen
		})
	}
	for round := 1; round <= 3; round++ {
		for accepted.Load() < int64(round*publishers*each/4) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		turn(round)
	}
	publishing.Wait()
	reading.Wait()
	for r := 1; r < readers; r++ {
		if !slices.Equal(feeds[r], feeds[0]) {
			f.t.Errorf("reader %d saw another order", r)
		}
	}
	sorted := slices.Clone(feeds[0])
	slices.Sort(sorted)
	if n := len(slices.Compact(sorted)); n != publishers*each {
		f.t.Errorf("%d different messages, want %d", n, publishers*each)
	}
}

func (f *fleet) are(servers ...*server) {
	urls := make([]string, len(servers))
	for i, s := range servers {
		urls[i] = s.URL()
	}
	f.urls.Store(&urls)
}

func newFleet(t *testing.T, c config.Config, servers ...*server) *fleet {
	f := &fleet{t: t, key: c.BootstrapKey.Reveal()}
	f.are(servers...)
	servers[0].call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	servers[0].call("POST", "/app/a/consumer", map[string]any{"uid": "k"})
	return f
}

func TestStreams_MissNothingAcrossRestarts(t *testing.T) {
	t.Parallel()
	c := defaults(t)
	s := start(t, c)
	f := newFleet(t, c, s)
	f.proveGapFree(func(int) {
		s.end()
		s = start(t, c)
		f.are(s)
	})
	s.end()
}

func TestCluster_StreamsMissNothingWhileNodesComeAndGo(t *testing.T) {
	t.Parallel()
	c := database(t)
	a, b := start(t, c), start(t, c)
	shared(t, a, b)
	f := newFleet(t, c, a, b)
	f.proveGapFree(func(round int) {
		f.are(b)
		a.end()
		a, b = b, start(t, c)
		f.are(a, b)
	})
	a.end()
	b.end()
}

func TestCluster_AReaderOnAnotherNodeIsWokenSoon(t *testing.T) {
	t.Parallel()
	for _, quiet := range []bool{false, true} {
		c := database(t)
		c.NoNotify = quiet
		a, b := start(t, c), start(t, c)
		shared(t, a, b)
		f := newFleet(t, c, a, b)
		type answer struct {
			took time.Duration
			data []any
		}
		for range 5 {
			f.publish("old"+strconv.FormatInt(time.Now().UnixNano(), 36), 0)
		}
		until(t, "what was published before", func() bool {
			return len(b.call("GET", "/app/a/consumer/k/messages", nil)["data"].([]any)) == 5
		})
		for _, node := range []*server{a, b} {
			at := node.call("GET", "/app/a/consumer/k/messages", nil)["cursor"].(string)
			got := make(chan answer, 1)
			began := time.Now()
			go func() {
				data := node.call("GET", "/app/a/consumer/k/messages?wait=50&cursor="+at, nil)["data"].([]any)
				got <- answer{time.Since(began), data}
			}()
			time.Sleep(300 * time.Millisecond)
			f.publish("new"+strconv.FormatInt(time.Now().UnixNano(), 36), 0)
			if r := <-got; len(r.data) != 1 || r.took > 30*time.Second { // it would wait for fifty
				t.Errorf("without notifications: %v: %d messages after %v", quiet, len(r.data), r.took)
			}
		}
		a.end()
		b.end()
	}
}
