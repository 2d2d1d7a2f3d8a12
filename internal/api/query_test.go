package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
)

func queryOf(raw string) *query {
	c := &call{r: &http.Request{URL: &url.URL{RawQuery: raw}}}
	return c.query()
}

func TestQuery_ListsInEverySpelling(t *testing.T) {
	for _, raw := range []string{"t=a,b", "t=a&t=b", "t[]=a&t[]=b", "t[0]=a&t[1]=b", "t%5B0%5D=a&t%5B1%5D=b", "t[]=a,b&t[x]=c", "t=a,,b,"} {
		q := queryOf(raw)
		if diff := cmp.Diff([]string{"a", "b"}, q.list("t")); diff != "" || q.err != nil {
			t.Errorf("%s: %s %v", raw, diff, q.err)
		}
	}
	if list := queryOf("t=").list("t"); list != nil {
		t.Errorf("got %v, want none", list)
	}
}

func TestQuery_ReadsTimes(t *testing.T) {
	want := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{"2024-01-02T03:04:05Z", "2024-01-02T05:04:05+02:00", "2024-01-02T05%3A04%3A05%2B02%3A00", "2024-01-02 03:04:05 UTC", "2024-01-02T03:04:05.000000Z"} {
		q := queryOf("at=" + text)
		if got := q.moment("at"); !got.Equal(want) || q.err != nil {
			t.Errorf("%s: got %v %v", text, got, q.err)
		}
	}
}

func TestQuery_MalformedIs400AndOutOfRangeIs422(t *testing.T) {
	for raw, want := range map[string]hark.Code{
		"limit=abc": hark.BadRequest, "limit=-1": hark.BadRequest, "limit=0": hark.Invalid, "order=up": hark.BadRequest,
		"at=yesterday": hark.BadRequest, "on=yes": hark.BadRequest, "at=%zz": hark.BadRequest, "limit=50&unknown=x": "",
	} {
		q := queryOf(raw)
		q.page()
		q.moment("at")
		q.flag("on", false)
		if got := hark.CodeOf(q.err); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

// FuzzQuery: no query makes a reader panic, and a list never has empty entries.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"t=a,b&t[]=c&t[0]=d", "at=2024-01-02T05:04:05+02:00", "limit=99999999999999999999&iterator=-x&order=ascending", "t[=]&t[]=", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := queryOf(raw)
		for _, item := range q.list("t") {
			if item == "" {
				t.Fatal("an empty entry")
			}
		}
		if at := q.moment("at"); at.Location() != time.UTC {
			t.Fatal("not in UTC")
		}
		q.flag("on", true)
		q.number("n")
		if in := q.page(); in.Limit < 0 {
			t.Fatal("a negative limit")
		}
	})
}

// FuzzIterator: no iterator, limit or order breaks a list, or anything behind it.
func FuzzIterator(f *testing.F) {
	for _, seed := range []string{"", "-", "--", "app_", "-app_2YDsRP3ZRnPb7tsVIZIJYOBrXJM", "msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz", "-msg_000000000000000000000000000", "a.b", "-a'\x00", "\xff"} {
		f.Add(seed, "2")
	}
	w := newWorld(f)
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"One","uid":"one"}`, status: 201},
		{method: "POST", url: "/app/one/endpoint", body: `{"url":"https://example.com","uid":"e"}`, status: 201},
	})
	f.Fuzz(func(t *testing.T, iterator, limit string) {
		for _, list := range []string{"/app", "/event-type", "/key", "/background-task", "/app/one/endpoint", "/app/one/msg", "/app/one/attempt/endpoint/e", "/app/one/endpoint/e/msg", "/source", "/request"} {
			r := httptest.NewRequest("GET", prefix+list+"?"+url.Values{"iterator": {iterator}, "limit": {limit}}.Encode(), nil)
			r.Header.Set("Authorization", "Bearer "+w.keys["live"])
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			if rec.Code != 200 && rec.Code != 422 && rec.Code != 400 {
				t.Fatalf("%s: %d %s", r.URL, rec.Code, rec.Body)
			}
		}
	})
}
