package laptop

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/harkhq/hark/test/harness"
)

// feedOrder reads a consumer's feed: the ids of its messages, in their order.
func feedOrder(t *testing.T, client *harness.Client, app, consumer string) (ids []string) {
	t.Helper()
	cursor := "start"
	for {
		var page struct {
			Data   []struct{ ID string }
			Cursor string
			Done   bool
		}
		client.Call(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/app/%s/consumer/%s/messages?limit=250&cursor=%s", app, consumer, cursor), nil, &page)
		for _, m := range page.Data {
			ids = append(ids, m.ID)
		}
		if page.Done {
			return ids
		}
		cursor = page.Cursor
	}
}

// attempts reads what was recorded of messages, at a consumer alone.
func attempts(t *testing.T, client *harness.Client, app string, ids []string) map[string][]harness.Attempt {
	t.Helper()
	all := map[string][]harness.Attempt{}
	for _, id := range ids {
		var page struct{ Data []harness.Attempt }
		client.Call(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/app/%s/attempt/msg/%s?limit=250", app, id), nil, &page)
		all[id] = page.Data
	}
	return all
}

// checkOrder says whether first arrivals came in the order of the feed, all of it.
func checkOrder(t *testing.T, feed, first []string) {
	t.Helper()
	if slices.Equal(feed, first) {
		return
	}
	place := map[string]int{}
	for i, id := range feed {
		place[id] = i + 1
	}
	broken := 0
	for i, id := range first {
		switch {
		case place[id] == 0:
			t.Errorf("%s arrived, and is not in the feed", id)
		case i > 0 && place[id] < place[first[i-1]] && broken < 10:
			broken++
			t.Errorf("out of order: %s, number %d of the feed, came behind number %d", id, place[id], place[first[i-1]])
		}
	}
	if len(feed) != len(first) {
		t.Errorf("%d messages are in the feed, and %d have arrived", len(feed), len(first))
	}
}

// counts are of attempts.
type counts struct {
	attempts int
	again    int // beyond a message's arrivals: the answer was told twice
	cut      int // twice without an answer
}

// checkAttempts says whether what was recorded is what the receiver answered. A message whose answer was cut off
// comes once more; if that is cut off, too, it is dealt with.
func checkAttempts(t *testing.T, recorded map[string][]harness.Attempt, stories map[string]story) (c counts) {
	t.Helper()
	bad := 0
	fail := func(format string, args ...any) {
		if bad++; bad < 10 {
			t.Errorf(format, args...)
		}
	}
	for id, s := range stories {
		as := recorded[id]
		if len(as) == 0 {
			fail("%s arrived, and has no attempt", id)
		}
		if len(s.answered) == 0 && s.came == 1 {
			fail("%s came once, and was cut off", id)
		}
		c.attempts += len(as)
		c.again += max(len(as)-s.came, 0)
		for _, a := range as {
			switch a.ResponseStatusCode {
			case 0:
				c.cut++
				if s.came-len(s.answered) < 2 {
					fail("%s is recorded as %q; it came %d times, and was answered %v", id, a.Response, s.came, s.answered)
				}
				continue
			case http.StatusNoContent:
			default:
				if want := `{"for":"` + id + `"}`; a.Response != want {
					fail("%s is recorded with the body %q, not %q", id, a.Response, want)
				}
			}
			if !slices.Contains(s.answered, a.ResponseStatusCode) {
				fail("%s is recorded with %d, and was answered %v", id, a.ResponseStatusCode, s.answered)
			}
		}
	}
	return c
}

// checkRecords says whether what a process printed is right: records, each message told once and in order,
// and every loss of the connection followed by its end.
func checkRecords(t *testing.T, out *records, end string) (reconnected int) {
	t.Helper()
	out.mu.Lock()
	defer out.mu.Unlock()
	for _, line := range out.bad {
		t.Errorf("%s printed what is no record: %s", end, line)
	}
	if len(out.all) == 0 {
		return 0 // it could not reach the server
	}
	if out.all[0].Type != "ready" || out.all[0].Again {
		t.Errorf("%s began with %+v", end, out.all[0])
	}
	lost, seq := false, int64(0)
	for _, r := range out.all {
		switch r.Type {
		case "ready":
			if lost {
				reconnected++
			}
			lost = false
		case "reconnecting":
			if lost || r.Reason == "" {
				t.Errorf("%s: reconnecting twice, or without a reason: %+v", end, r)
			}
			lost = true
		case "standby":
			seq = 0 // another has gone on
		case "message":
			if r.Seq <= seq {
				t.Errorf("%s: message %d is told of after %d", end, r.Seq, seq)
			}
			seq = r.Seq
		case "response":
			if r.Status == nil || r.ID == "" {
				t.Errorf("%s: a response without status or id: %+v", end, r)
			}
		case "gap":
			t.Errorf("%s: a gap, and nothing has expired: %+v", end, r)
		}
	}
	return reconnected
}
