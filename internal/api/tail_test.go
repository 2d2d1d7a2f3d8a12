package api

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// tail is what a tail shows at once: its events, with the ids of what they are about.
func (w *world) tail(as, query, header string, status int) (events []string) {
	w.t.Helper()
	rec := w.do(step{as: as, method: "GET", url: "/tail?" + query, header: header})
	if rec.Code != status {
		w.t.Fatalf("%s as %s: %d: %s", query, as, rec.Code, rec.Body)
	}
	for line := range strings.Lines(rec.Body.String()) {
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			events = append(events, strings.TrimSpace(name))
		}
	}
	return events
}

func TestTail_ShowsWhatHappensToWhoMaySeeIt(t *testing.T) {
	w := tenants(t)
	w.names["ago"] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	w.run([]step{{method: "POST", url: "/app/b/msg", body: `{"eventType":"b.b","payload":{}}`, status: 202}})
	for _, c := range []struct {
		as, query, want string
	}{
		{"live", "", ""},
		{"live", "since", "attempt message message request"},
		{"read", "since", "attempt message message request"},
		{"live", "since&app_id=a", "attempt message request"},
		{"live", "since&kind=attempt,request", "attempt request"},
		{"live", "since&event_types=b.b", "message"},
		{"live", "since&status=failed", "attempt request"},
		{"live", "since&source_id=s", "request"},
		{"ofB", "since", "message"},
		{"ofB", "since&app_id=b&kind=message", "message"},
		{"stranger", "since", ""},
	} {
		query := strings.Replace(c.query, "since", "since={ago}", 1)
		got := w.tail(c.as, query, "", 200)
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s as %s: %q, want %q", c.query, c.as, got, c.want)
		}
	}
	for _, c := range []struct {
		as, query string
		status    int
	}{
		{"ofB", "app_id=a", 404}, {"stranger", "app_id=a", 404}, {"stranger", "source_id=s", 404}, {"ofB", "source_id=s", 404},
		{"portalOfA", "app_id=a", 403}, {"live", "kind=secret", 422}, {"live", "status=good", 422}, {"live", "since=2020-01-01T00:00:00Z", 422},
		{"live", "source_id=s&kind=message", 422}, {"live", "status=failed&kind=message", 422}, {"live", "since=yesterday", 400},
	} {
		w.tail(c.as, c.query, "", c.status)
	}
	if got := w.tail("live", "", "Last-Event-ID: 2020-01-01T00:00:00Z", 200); len(got) != 4 {
		t.Errorf("after a long absence: %q", got)
	}
	if got := w.tail("live", "", "Last-Event-ID: nonsense", 200); len(got) != 0 {
		t.Errorf("behind no place: %q", got)
	}
}
