package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/store/postgrestest"
)

// An application writes into the database, and the endpoint gets each message once and in order, whichever
// node is there to take it.
func TestOutbox_WhatIsCommittedIsDeliveredOnceThroughNodesThatComeAndGo(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []int
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var in struct{ ID int }
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &in); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, in.ID)
	}))
	defer sink.Close()
	c := database(t)
	name := postgrestest.Name(c.Database.Reveal())
	sql := func(script string) {
		t.Helper()
		if err := postgrestest.Shared(t).Exec(t.Context(), name, script); err != nil {
			t.Fatal(err)
		}
	}
	const insert = `INSERT INTO hark.outbox (application, event_type, payload) VALUES ('bakery', 'invoice.paid', '{"id":%d}');`
	a, b := start(t, c), start(t, c)
	shared(t, a, b)
	a.call("POST", "/app", map[string]any{"name": "Bakery", "uid": "bakery"})
	a.call("POST", "/app/bakery/endpoint", map[string]any{"url": sink.URL, "ordering": "endpoint"})

	want := 0
	commit := func(rows int) {
		t.Helper()
		script := "BEGIN;"
		for range rows {
			want++
			script += fmt.Sprintf(insert, want)
		}
		sql(script + "COMMIT")
		sql("BEGIN;" + fmt.Sprintf(insert, -want) + "ROLLBACK")
	}
	arrived := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	for i := range 10 {
		commit(i + 1)
	}
	until(t, "the first messages arrive", func() bool { return arrived() >= want })
	a.end()
	commit(20)
	until(t, "the other node takes", func() bool { return arrived() >= want })
	b.end()
	commit(20) // nobody is there
	time.Sleep(50 * time.Millisecond)
	last := start(t, c)
	until(t, "a new node takes what waited", func() bool { return arrived() >= want })
	last.end()
	for i, id := range got {
		if id != i+1 {
			t.Fatalf("arrival %d is message %d of %d", i+1, id, want)
		}
	}
	if left, err := postgrestest.Shared(t).Query(t.Context(), name, `SELECT id, reason FROM hark.outbox`); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
