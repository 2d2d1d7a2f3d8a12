package poll_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
)

// book serves pages of one item each, by a cursor that is the page's number, and counts who asks.
type book struct {
	pages int
	asked []int
	gone  bool // cursors are not taken any more
}

func (b *book) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	n, _ := strconv.Atoi(q.URL.Query().Get("cursor"))
	b.asked = append(b.asked, n)
	if b.gone && n > 0 {
		http.Error(w, "which cursor?", http.StatusBadRequest)
		return
	}
	next := "null"
	if n+1 < b.pages {
		next = strconv.Quote(strconv.Itoa(n + 1))
		w.Header().Set("Link", fmt.Sprintf("</tickets?cursor=%d&key=hush>; rel=next", n+1))
	}
	fmt.Fprintf(w, `{"data":[{"id":%d,"at":%d}],"next":%s}`, n+1, 3000-n, next)
}

func TestRun_GoesOnWhereItHadToStop(t *testing.T) {
	for _, paging := range []hark.PollerPaging{{Type: "cursor", Path: "/next", Param: "cursor"}, {Type: "link"}} {
		synctest.Test(t, func(t *testing.T) {
			r, b := newRig(t), &book{pages: 2100}
			r.api = b.ServeHTTP
			r.add("a", func(p *hark.Poller) {
				p.Paging, p.ItemsPath, p.Auth, p.Secret = paging, "/data", hark.PollerAuth{Type: "query", Name: "key"}, "hush"
				p.Since = hark.PollerSince{Param: "since", Path: "/at"}
			})
			r.start()
			time.Sleep(time.Second)
			synctest.Wait()
			p := r.poller("a")
			if run := p.State.Runs[0]; run.Outcome != hark.PollPartial || run.Pages != 1000 || p.State.Learned || p.State.Since != "" || p.State.Failures != 0 {
				t.Fatalf("the first run: %+v of %+v", run, p.State)
			}
			if rest := p.State.Rest; rest == nil || strings.Contains(rest.URL, "hush") || rest.Since != "3000" {
				t.Errorf("what is left: %+v", rest)
			}
			next()
			next()
			p = r.poller("a")
			if run := p.State.Runs[0]; run.Outcome != hark.PollDone || run.Pages != 100 || !p.State.Learned || p.State.Since != "3000" || p.State.Rest != nil {
				t.Fatalf("the third run: %+v of %+v", run, p.State)
			}
			if got := r.took(); len(got) != b.pages || len(b.asked) != b.pages {
				t.Errorf("%d messages of %d answers, want %d", len(got), len(b.asked), b.pages)
			}
			next()
			if b.asked[b.pages] != 0 {
				t.Errorf("the fourth run begins with page %d", b.asked[b.pages])
			}
		})
	}
}

func TestRun_LearnsThroughManyRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newRig(t), &book{pages: 1500}
		r.api = b.ServeHTTP
		r.add("a", func(p *hark.Poller) {
			p.Paging, p.ItemsPath, p.Backfill = hark.PollerPaging{Type: "cursor", Path: "/next", Param: "cursor"}, "/data", false
		})
		r.start()
		time.Sleep(time.Second)
		next()
		if run := r.poller("a").State.Runs[0]; run.Outcome != hark.PollLearned {
			t.Errorf("the second run: %+v", run)
		}
		r.want("what was there")
		b.pages++
		next()
		next()
		r.want("what is new", `ticket.created {"id":1501,"at":1500}`)
	})
}

func TestRun_LeavesPagesThatTakeTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newRig(t), &book{pages: 20}
		r.api = func(w http.ResponseWriter, q *http.Request) {
			time.Sleep(25 * time.Second)
			b.ServeHTTP(w, q)
		}
		r.add("a", func(p *hark.Poller) {
			p.Paging, p.ItemsPath = hark.PollerPaging{Type: "cursor", Path: "/next", Param: "cursor"}, "/data"
		})
		r.start()
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if runs := r.poller("a").State.Runs; len(runs) != 1 || runs[0].Outcome != hark.PollPartial || runs[0].Pages != 17 {
			t.Errorf("%+v", runs)
		}
	})
}

func TestRun_BeginsAnewWhereACursorHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := newRig(t), &book{pages: 1001}
		r.api = b.ServeHTTP
		r.add("a", func(p *hark.Poller) {
			p.Paging, p.ItemsPath = hark.PollerPaging{Type: "cursor", Path: "/next", Param: "cursor"}, "/data"
		})
		r.start()
		time.Sleep(time.Second)
		b.gone = true
		next()
		p := r.poller("a")
		if run := p.State.Runs[0]; run.Outcome != hark.PollFailed || p.State.Rest != nil || !strings.Contains(run.Error, "the next run begins at the first page") {
			t.Errorf("%+v of %+v", run, p.State)
		}
		b.gone = false
		time.Sleep(time.Minute)
		synctest.Wait()
		if p := r.poller("a"); p.State.Runs[0].Outcome != hark.PollPartial || p.State.Failures != 0 {
			t.Errorf("%+v", p.State)
		}
		next()
		if got := r.took(); len(got) != b.pages {
			t.Errorf("%d messages of %d items", len(got), b.pages)
		}
	})
}

func TestRun_SendsItsBodyAndItsClientAsTheApiWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.api = func(w http.ResponseWriter, q *http.Request) {
			text, _ := io.ReadAll(q.Body)
			if q.URL.Path == "/token" {
				if _, _, basic := q.BasicAuth(); basic || string(text) != "client_id=id&client_secret=h%26sh&grant_type=client_credentials" {
					t.Errorf("token: %q, basic: %v", text, basic)
				}
				_, _ = io.WriteString(w, `{"access_token":"t"}`)
				return
			}
			if got := q.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" || string(text) != "a=b" {
				t.Errorf("asked with %q, %q", got, text)
			}
			_, _ = io.WriteString(w, `[{"id":1}]`)
		}
		r.add("a", func(p *hark.Poller) {
			p.Method, p.Body, p.ContentType, p.Secret = "POST", "a=b", "application/x-www-form-urlencoded", "h&sh"
			p.Auth = hark.PollerAuth{Type: "oauth2", TokenURL: "http://auth.test/token", ClientID: "id", ClientAuth: "body"}
		})
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		r.want("the item", `ticket.created {"id":1}`)
	})
}
