package app_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/listen"
)

func TestListen_SelectionsDoNotDisturbEachOtherAndGoOnWhereTheyStopped(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	send := map[string]func(n string){}
	for _, uid := range []string{"stripe", "github"} {
		src := s.call("POST", "/source", map[string]any{"uid": uid, "name": uid, "unverified": true, "applicationId": "a"})
		send[uid] = func(n string) {
			t.Helper()
			resp, err := http.Post(src["url"].(string), "application/json", strings.NewReader(`{"n":`+n+`}`))
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%v %v", resp, err)
			}
			_ = resp.Body.Close()
		}
	}
	laptops, stops := map[string]*laptop{}, map[string]func() listen.Tally{}
	sessions := map[string]listen.Session{}
	begin := func(uid string, fanOut bool) {
		l := newLaptop(t)
		opt := l.options(s.URL(), c)
		opt.MachineKey, opt.FanOut = "key", fanOut
		if opt.Source = uid; uid == "all" {
			opt.Source = ""
		}
		laptops[uid] = l
		_, stops[uid] = l.listen(opt)
		l.isReady()
		sessions[uid] = l.told()[0].(listen.Ready).Session
	}
	got := func(uid string, ns ...int) {
		t.Helper()
		until(t, uid, func() bool { return slices.Equal(laptops[uid].ns(), ns) })
	}
	begin("stripe", false)
	begin("github", false)
	begin("all", false)
	if a, b, all := sessions["stripe"], sessions["github"], sessions["all"]; a.Secret != b.Secret || a.Secret != all.Secret || a.ConsumerID == b.ConsumerID || b.ConsumerID == all.ConsumerID {
		t.Errorf("%+v, %+v, %+v", a, b, all)
	}
	send["stripe"]("1")
	send["github"]("2")
	send["stripe"]("3")
	got("stripe", 1, 3)
	got("github", 2)
	until(t, "everything", func() bool { return len(laptops["all"].ns()) == 3 })
	for uid, stop := range stops {
		s.acknowledged(string(sessions[uid].ConsumerID))
		stop()
		if n := count[listen.Standby](laptops[uid]); n != 0 {
			t.Errorf("%s stood by %d times", uid, n)
		}
	}
	send["stripe"]("4")
	send["github"]("5")
	before := sessions["stripe"]
	begin("stripe", false)
	got("stripe", 4)
	begin("github", false)
	got("github", 5)
	if now := sessions["stripe"]; now != before {
		t.Errorf("%+v, then %+v", before, now)
	}
	stops["stripe"]()
	stops["github"]()
	begin("stripe", true)
	begin("github", true)
	send["github"]("6")
	send["stripe"]("7")
	got("github", 6)
	got("stripe", 7)
	stops["stripe"]()
	stops["github"]()
}

func TestListen_TheSameSelectionIsOneHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	src := s.call("POST", "/source", map[string]any{"uid": "pay", "name": "pay", "unverified": true, "applicationId": "a"})
	prepare := func(source string, types []string, filter, secret string) listen.Session {
		t.Helper()
		opt := newLaptop(t).options(s.URL(), c)
		opt.Source, opt.EventTypes, opt.MachineKey = source, types, "key"
		if filter != "" {
			opt.Filter = []byte(filter)
		}
		l, err := listen.New(opt)
		if err != nil {
			t.Fatal(err)
		}
		session, err := l.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	one := prepare("pay", []string{"b", "a"}, `{"x": 1, "a": {"$gt": 2}}`, "")
	two := prepare(src["id"].(string), []string{"a", "b", "a"}, ` {"a":{"$gt":2},"x":1} `, "")
	if one != two {
		t.Errorf("%+v and %+v", one, two)
	}
	other := prepare("pay", []string{"b"}, "", "")
	if other.ConsumerID == one.ConsumerID || other.Secret != one.Secret {
		t.Errorf("%+v and %+v", one, other)
	}
}

func TestListen_RemovesItsUnusedSelectionsAndNobodyElses(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	prepare := func(machine string, unused time.Duration, types ...string) string {
		t.Helper()
		opt := newLaptop(t).options(s.URL(), c)
		opt.Machine, opt.Unused, opt.EventTypes = machine, unused, types
		l, err := listen.New(opt)
		if err != nil {
			t.Fatal(err)
		}
		session, err := l.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return string(session.ConsumerID)
	}
	// Another machine's, whose name begins like ours, and one that a person has named so.
	keep := []string{prepare("laptop-1-0123456789ab", 0, "a"), prepare("laptop-12", 0, "a"), prepare("laptop-1-0123456789ab", 0)}
	keep = append(keep, s.call("POST", "/app/a/consumer", map[string]any{"uid": "listen-laptop-1-0123456789ef"})["id"].(string))
	gone := []string{prepare("laptop-1", 0), prepare("laptop-1", 0, "a")}
	time.Sleep(5 * time.Millisecond)
	keep = append(keep, prepare("laptop-1", 0, "b")) // a month has not passed
	for _, id := range gone {
		s.call("GET", "/app/a/consumer/"+id, nil)
	}
	time.Sleep(5 * time.Millisecond)
	keep[len(keep)-1] = prepare("laptop-1", time.Millisecond, "c")
	left := map[string]bool{}
	for _, one := range s.call("GET", "/app/a/consumer?limit=250", nil)["data"].([]any) {
		left[one.(map[string]any)["id"].(string)] = true
	}
	for _, id := range gone {
		if left[id] {
			t.Errorf("%s is left", id)
		}
	}
	for _, id := range keep {
		if !left[id] {
			t.Errorf("%s is gone", id)
		}
	}
}
