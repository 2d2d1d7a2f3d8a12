package poll_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/poll"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// rig is a Runner over a real store and an API without a network, in a bubble.
type rig struct {
	t     *testing.T
	store *sqlite.Store
	app   hark.Application
	api   http.HandlerFunc

	mu       sync.Mutex
	accepted []string              // types and payloads of messages
	keys     map[[32]byte][32]byte // of messages, with their fingerprints
	lose     int                   // so many publishes are accepted, and their answer is lost
	calls    int
	held     func(int) bool
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.OnQueued(func([]hark.Delivery) {})
	r := &rig{t: t, store: s, keys: map[[32]byte][32]byte{}}
	r.app = r.application("one")
	return r
}

func (r *rig) application(uid string) hark.Application {
	r.t.Helper()
	now := time.Now()
	env := hark.NewEnvironmentID(now)
	if err := r.store.InsertEnvironment(r.t.Context(), hark.Environment{ID: env, Name: uid, CreatedAt: now}); err != nil {
		r.t.Fatal(err)
	}
	app, err := r.store.InsertApplication(r.t.Context(), hark.Application{ID: hark.NewApplicationID(now), EnvironmentID: env, UID: uid, CreatedAt: now})
	if err != nil {
		r.t.Fatal(err)
	}
	return app
}

// RoundTrip asks the API.
func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	r.api(rec, req)
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

// publish accepts as the store does: a key counts once.
func (r *rig) publish(_ context.Context, app hark.Ref, messages []poll.Emission) ([]error, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused := make([]error, len(messages))
	for i, m := range messages {
		if m.Payload[0] != '{' {
			refused[i] = errors.New("must be a JSON object")
			continue
		}
		switch print, isThere := r.keys[m.Key.Hash]; {
		case !isThere:
			r.keys[m.Key.Hash] = m.Key.Fingerprint
			r.accepted = append(r.accepted, m.EventType+" "+string(m.Payload))
		case print != m.Key.Fingerprint:
			refused[i] = poll.ErrTaken
		}
	}
	if r.lose > 0 {
		r.lose--
		return nil, errors.New("the connection is gone")
	}
	return refused, nil
}

// locked does something that runs under way must not see half of.
func (r *rig) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// took answers the messages since it was last called.
func (r *rig) took() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.accepted
	r.accepted = nil
	return out
}

func (r *rig) runner() *poll.Runner {
	return poll.New(poll.Options{Store: r.store, Publish: r.publish, Client: &http.Client{Transport: r}, Logger: slog.New(slog.DiscardHandler), UserAgent: "test", Holds: r.held})
}

// start runs until the test, or stop, ends it.
func (r *rig) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan struct{})
	runner := r.runner()
	go func() { defer close(done); _ = runner.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) add(uid string, change func(*hark.Poller)) hark.Poller {
	r.t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	p := hark.Poller{
		ID: hark.NewPollerID(now), UID: uid, ApplicationRef: r.app.Ref, Due: now, CreatedAt: now, UpdatedAt: now,
		PollerSettings: hark.PollerSettings{URL: "http://api.test/tickets", Every: time.Minute, IDPath: "/id", EventType: "ticket.{{change}}", Backfill: true},
	}
	if change != nil {
		change(&p)
	}
	p, err := r.store.InsertPoller(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) poller(uid string) hark.Poller {
	r.t.Helper()
	p, err := r.store.Poller(r.t.Context(), r.app.Ref, uid)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) want(what string, want ...string) {
	r.t.Helper()
	if got := r.took(); !slices.Equal(got, want) {
		r.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// list serves the items that it is called with last.
func (r *rig) list() func(...string) {
	var mu sync.Mutex
	var items []string
	r.api = func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "[%s]", strings.Join(items, ","))
	}
	return func(next ...string) { mu.Lock(); items = next; mu.Unlock() }
}

// next sleeps into the middle between two runs.
func next() { time.Sleep(time.Minute); synctest.Wait() }

func TestRun_NewAndChangedItemsOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1,"state":"open"}`, `{"id":"1","other":true}`, `{"id":2}`)
		r.add("a", nil)
		stop := r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		// 1 and "1" are one item, listed twice.
		r.want("first", `ticket.created {"id":1,"state":"open"}`, `ticket.updated {"id":"1","other":true}`, `ticket.created {"id":2}`)
		set(`{"state":"open", "id": 1}`, `{"id":2}`)
		next()
		r.want("changed", `ticket.updated {"state":"open", "id": 1}`)
		set(`{"id":1,"state":"open"}`) // the same in another spelling
		next()
		r.want("nothing")
		stop()
		set(`{"id":1,"state":"closed"}`, `{"id":3}`)
		next()
		r.start()
		synctest.Wait()
		r.want("after a restart", `ticket.updated {"id":1,"state":"closed"}`, `ticket.created {"id":3}`)
		set(`{"id":1,"state":"open"}`)
		next()
		r.want("back again", `ticket.updated {"id":1,"state":"open"}`)
		p := r.poller("a")
		if p.State.Failures != 0 || len(p.State.Runs) < 5 || p.State.Runs[0].Changed != 1 {
			t.Errorf("state: %+v", p.State)
		}
	})
}

func TestRun_FirstOnlyLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1}`)
		r.add("a", func(p *hark.Poller) { p.Backfill = false })
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.want("learned")
		if run := r.poller("a").State.Runs[0]; run.Outcome != hark.PollLearned || run.New != 1 {
			t.Errorf("%+v", run)
		}
		set(`{"id":1}`, `{"id":2}`)
		next()
		r.want("then", `ticket.created {"id":2}`)
	})
}

// A crash between the acceptance and its record repeats nothing.
func TestRun_LostAnswersRepeatNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1}`, `{"id":2}`)
		r.locked(func() { r.lose = 3 })
		r.add("a", nil)
		r.start()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.want("once", `ticket.created {"id":1}`, `ticket.created {"id":2}`)
		if p := r.poller("a"); !p.State.Learned || p.State.Failures != 0 {
			t.Errorf("%+v", p.State)
		}
		r.locked(func() { r.lose = 1 })
		set(`{"id":1,"n":1}`)
		next()
		r.want("a change, once", `ticket.updated {"id":1,"n":1}`)
	})
}

// What has changed between a crash and the next run is no new item, although nothing is recorded of it.
func TestRun_AChangeBehindALostAnswerIsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1}`, `{"id":2}`)
		r.locked(func() { r.lose = 1 })
		r.add("a", nil)
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.want("the lost ones", `ticket.created {"id":1}`, `ticket.created {"id":2}`)
		set(`{"id":1,"n":1}`, `{"id":2}`)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.want("a change", `ticket.updated {"id":1,"n":1}`)
		if runs := r.poller("a").State.Runs; runs[0].New != 1 || runs[0].Changed != 1 {
			t.Errorf("%+v", runs)
		}
		set(`{"id":1,"n":2}`, `{"id":2,"n":1}`)
		next()
		r.want("the next changes", `ticket.updated {"id":1,"n":2}`, `ticket.updated {"id":2,"n":1}`)
	})
}

func TestRun_TwoNodesMakeOneMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1}`)
		inner := r.api
		r.api = func(w http.ResponseWriter, q *http.Request) { time.Sleep(time.Second); inner(w, q) }
		r.held = func(int) bool { return true } // both believe it
		r.add("a", nil)
		r.start()
		r.start()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.want("once", `ticket.created {"id":1}`)
		if n := len(r.poller("a").State.Runs); n != 1 {
			t.Errorf("%d runs recorded", n)
		}
		r.held = func(int) bool { return false } // for the next one to start
		r.add("b", nil)
		before := 0
		r.locked(func() { before = r.calls })
		stop := r.start()
		time.Sleep(10 * time.Second)
		stop()
		r.locked(func() {
			if r.calls != before+2 { // those who hold it asked: each once
				t.Errorf("%d calls", r.calls-before)
			}
		})
	})
}

func TestRun_BacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		status, after := 500, ""
		r.api = func(w http.ResponseWriter, _ *http.Request) {
			r.locked(func() {
				if after != "" {
					w.Header().Set("Retry-After", after)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "[]")
			})
		}
		start := time.Now()
		r.add("a", nil)
		r.start()
		time.Sleep(100 * time.Second) // runs at 0, 30 and 90 s
		synctest.Wait()
		p := r.poller("a")
		if p.State.Failures != 3 || p.Due.Sub(start) != 210*time.Second || p.State.Runs[0].Status != 500 || p.State.Runs[0].Outcome != hark.PollFailed {
			t.Errorf("due after %v: %+v", p.Due.Sub(start), p.State)
		}
		r.locked(func() { status, after = 429, "1000" })
		time.Sleep(120 * time.Second)
		synctest.Wait()
		if p = r.poller("a"); p.State.Runs[0].Status != 429 || p.Due.Sub(start) != 1210*time.Second {
			t.Errorf("after 429, due after %v: %+v", p.Due.Sub(start), p.State.Runs[0])
		}
		r.locked(func() { status, after = 200, "" })
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		if p = r.poller("a"); p.State.Failures != 0 || p.State.Runs[0].Outcome != hark.PollDone {
			t.Errorf("recovered: %+v", p.State)
		}
	})
}

func TestRun_WalksPages(t *testing.T) {
	pages := []string{`{"data":[{"id":1}],"next":"/tickets?cursor=b","cursor":"b"}`, `{"data":[{"id":2}],"next":"http://api.test/tickets?cursor=c","cursor":"c"}`, `{"data":[],"next":null,"cursor":""}`}
	for _, tt := range []hark.PollerPaging{
		{Type: "link"}, {Type: "next", Path: "/next"}, {Type: "cursor", Path: "/cursor", Param: "cursor"}, {Type: "page", Param: "page"}, {Type: "page", Param: "page", First: -1},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			var asked []string
			r.api = func(w http.ResponseWriter, q *http.Request) {
				asked = append(asked, q.URL.RawQuery)
				i := map[string]int{"": 0, "b": 1, "c": 2, "1": 0, "2": 1, "3": 2}[q.URL.Query().Get("cursor")+q.URL.Query().Get("page")]
				if tt.First == -1 {
					i = map[string]int{"0": 0, "1": 1, "2": 2}[q.URL.Query().Get("page")]
				}
				if i < 2 {
					w.Header().Add("Link", `<http://api.test/>; rel="prev first", </tickets?cursor=`+string(rune('b'+i))+`>; title="a, b"; rel="next"`)
				}
				_, _ = io.WriteString(w, pages[i])
			}
			r.add("a", func(p *hark.Poller) { p.Paging, p.ItemsPath = tt, "/data" })
			r.start()
			time.Sleep(time.Second)
			synctest.Wait()
			r.want(tt.Type, `ticket.created {"id":1}`, `ticket.created {"id":2}`)
			if run := r.poller("a").State.Runs[0]; run.Pages != 3 || run.Outcome != hark.PollDone {
				t.Errorf("%s: %+v after %q", tt.Type, run, asked)
			}
		})
	}
}

func TestRun_WaitsForAServerThatLimitsItsPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		last := time.Now().Add(-time.Hour)
		r.api = func(w http.ResponseWriter, q *http.Request) { // one request in five seconds
			if time.Since(last) < 5*time.Second {
				w.Header().Set("Retry-After", "5")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			last = time.Now()
			page := q.URL.Query().Get("page")
			if page == "4" {
				_, _ = io.WriteString(w, `[]`)
				return
			}
			fmt.Fprintf(w, `[{"id":%s}]`, page)
		}
		r.add("a", func(p *hark.Poller) { p.Paging = hark.PollerPaging{Type: "page", Param: "page"} })
		r.start()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		r.want("all pages", `ticket.created {"id":1}`, `ticket.created {"id":2}`, `ticket.created {"id":3}`)
		if run := r.poller("a").State.Runs[0]; run.Limited != 3 || run.Outcome != hark.PollDone {
			t.Errorf("%+v", run)
		}
	})
}

func TestRun_StaysOnItsHost(t *testing.T) {
	for name, api := range map[string]http.HandlerFunc{
		"link": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://evil.test/>; rel=next`)
			_, _ = io.WriteString(w, "[]")
		},
		"redirect": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "http://evil.test/", http.StatusFound)
		},
		"circle": func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Link", `<`+q.URL.String()+`>; rel=next`)
			_, _ = io.WriteString(w, "[]")
		},
		"endless":  func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/again", http.StatusFound) },
		"large":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<20+1)) },
		"no array": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `<html>`) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.api = func(w http.ResponseWriter, q *http.Request) {
				if q.Host == "evil.test" || q.URL.Host == "evil.test" {
					t.Errorf("%s: it went there, with %v", name, q.Header)
				}
				api(w, q)
			}
			r.add("a", func(p *hark.Poller) { p.Paging.Type, p.Auth.Type, p.Secret = "link", "bearer", "hush" })
			r.start()
			time.Sleep(time.Second)
			synctest.Wait()
			run := r.poller("a").State.Runs[0]
			if run.Outcome != hark.PollFailed || run.Error == "" || strings.Contains(run.Error, "hush") {
				t.Errorf("%s: %+v", name, run)
			}
		})
	}
}

func TestRun_ProvesWhoItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var got []string
		tokens := 0
		r.api = func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/token" {
				tokens++
				user, password, _ := q.BasicAuth()
				if user != "id" || password != "hush" || q.FormValue("grant_type") != "client_credentials" || q.FormValue("scope") != "s" {
					t.Errorf("token: %q %q %v", user, password, q.Form)
				}
				_, _ = io.WriteString(w, `{"access_token":"t","expires_in":3600}`)
				return
			}
			got = append(got, strings.TrimSpace(q.Header.Get("Authorization")+q.Header.Get("X-Key")+" "+q.URL.RawQuery+q.Header.Get("X-More")))
			_, _ = io.WriteString(w, "[]")
		}
		for i, tt := range []struct {
			auth hark.PollerAuth
			want string
		}{
			{hark.PollerAuth{Type: "basic", Username: "u"}, "Basic dTpodXNo"},
			{hark.PollerAuth{Type: "bearer"}, "Bearer hush"},
			{hark.PollerAuth{Type: "header", Name: "X-Key"}, "hush"},
			{hark.PollerAuth{Type: "query", Name: "key"}, "key=hush"},
			{hark.PollerAuth{Type: "oauth2", TokenURL: "http://auth.test/token", ClientID: "id", Scope: "s"}, "Bearer t"},
		} {
			got = nil
			uid := fmt.Sprint("a", i)
			r.add(uid, func(p *hark.Poller) { p.Auth, p.Secret, p.Headers = tt.auth, "hush", map[string]string{"X-More": ""} })
			stop := r.start()
			time.Sleep(2 * time.Minute)
			stop()
			if len(got) < 2 || got[0] != tt.want || got[1] != tt.want {
				t.Errorf("%s: %q", tt.auth.Type, got)
			}
			if err := r.store.DeletePoller(t.Context(), r.app.Ref, uid); err != nil {
				t.Fatal(err)
			}
		}
		if tokens != 1 {
			t.Errorf("%d tokens asked for", tokens)
		}
	})
}

func TestRun_AsksForWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var asked []string
		body := `[{"id":1,"at":9},{"id":2,"at":10}]`
		r.api = func(w http.ResponseWriter, q *http.Request) {
			asked = append(asked, q.URL.RawQuery+" "+q.Header.Get("If-None-Match"))
			if q.Header.Get("If-None-Match") == `"v1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"v1"`)
			_, _ = io.WriteString(w, body)
		}
		r.add("a", func(p *hark.Poller) { p.Since = hark.PollerSince{Param: "since", Path: "/at", Initial: "0"} })
		r.start()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if want := []string{"since=0 ", `since=10 "v1"`}; !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
		if p := r.poller("a"); p.State.Since != "10" || p.State.Runs[0].Outcome != hark.PollUnchanged {
			t.Errorf("%+v", p.State)
		}
	})
}

func TestRun_WatchesChosenFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1,"state":"open","seen":1}`, `7`, `{"state":"no id"}`)
		r.add("a", func(p *hark.Poller) { p.Changed = []string{"/state", "/tags/0"} })
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.want("first", `ticket.created {"id":1,"state":"open","seen":1}`)
		if run := r.poller("a").State.Runs[0]; run.Refused != 2 || run.Seen != 3 || run.New != 1 || run.Error == "" || run.Outcome != hark.PollDone {
			t.Errorf("%+v", run)
		}
		set(`{"id":1,"state":"open","seen":2}`)
		next()
		r.want("another field")
		set(`{"id":1,"state":"open","tags":["x"]}`)
		next()
		r.want("a chosen one", `ticket.updated {"id":1,"state":"open","tags":["x"]}`)
	})
}

func TestRun_SendsOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		due := time.Now().UTC().Truncate(time.Hour).Add(time.Hour)
		r.add("a", func(p *hark.Poller) {
			p.PollerSettings = hark.PollerSettings{Cron: "0 * * * *", EventType: "report.due", Payload: json.RawMessage(`{"now":"{{now}}","for":"{{scheduled}}","late":"{{late}}"}`)}
			p.Due = due
		})
		stop := r.start()
		time.Sleep(time.Until(due) + time.Minute)
		synctest.Wait()
		at := due.Format(time.RFC3339)
		r.want("in time", `report.due {"now":"`+at+`","for":"`+at+`","late":"false"}`)
		stop()
		time.Sleep(5 * time.Hour) // four times are missed
		now := time.Now().UTC().Format(time.RFC3339)
		r.locked(func() { r.lose = 2 })
		r.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := r.took()
		if len(got) != 1 || got[0] != `report.due {"now":"`+now+`","for":"`+due.Add(time.Hour).Format(time.RFC3339)+`","late":"true"}` {
			t.Errorf("made up for: %q", got)
		}
		if p := r.poller("a"); !p.Due.Equal(due.Add(6*time.Hour)) || !p.State.Runs[0].Late {
			t.Errorf("due %v: %+v", p.Due, p.State.Runs[0])
		}
	})
}

func TestRun_IsFairToApplications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var mu sync.Mutex
		now, most := 0, 0
		r.api = func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/quick" {
				_, _ = io.WriteString(w, `[{"id":1}]`)
				return
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			_, _ = io.WriteString(w, `[]`)
		}
		for i := range 30 {
			r.add(fmt.Sprint("slow", i), nil)
		}
		r.app = r.application("two")
		r.add("quick", func(p *hark.Poller) { p.URL = "http://api.test/quick" })
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.want("the other application's", `ticket.created {"id":1}`)
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if most != 4 {
			t.Errorf("%d runs of one application at once", most)
		}
	})
}

func TestPreview_ShowsAndKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := r.list()
		set(`{"id":1}`)
		p := r.add("a", func(p *hark.Poller) { p.Paused = true })
		for range 2 {
			got, err := r.runner().Preview(t.Context(), p)
			if err != nil || len(got.Messages) != 1 || got.Run.New != 1 || got.Messages[0].EventType != "ticket.created" {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		r.want("nothing")
		if items, _ := r.store.PollerItems(t.Context(), p.Ref, [][32]byte{{}}); len(items) > 0 || len(r.poller("a").State.Runs) > 0 {
			t.Error("something was kept")
		}
		r.api = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
		got, err := r.runner().Preview(t.Context(), p)
		if err != nil || got.Run.Outcome != hark.PollFailed || got.Run.Status != http.StatusTeapot {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestRun_EndsWithNothingOfAPollerThatWasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.api = func(w http.ResponseWriter, q *http.Request) {
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, `[{"id":1}]`)
		}
		r.add("a", func(p *hark.Poller) { p.Backfill = false })
		r.start()
		time.Sleep(time.Second)
		if _, err := r.store.UpdatePoller(t.Context(), r.app.Ref, "a", func(p *hark.Poller) error { p.Backfill = true; return nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		r.want("by its new settings", `ticket.created {"id":1}`)
		if items, err := r.store.PollerItems(t.Context(), r.poller("a").Ref, [][32]byte{}); err != nil || len(items) != 0 {
			t.Errorf("%v, %v", items, err)
		}
	})
}

var _ poll.Store = store.Store(nil)
