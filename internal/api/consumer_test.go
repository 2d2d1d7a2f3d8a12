package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/webhook"
)

// consumer makes application a with consumer k.
func consumer(t *testing.T) *world {
	w := newWorld(t)
	w.run([]step{
		{method: "POST", url: "/app", body: `{"name":"A","uid":"a"}`, status: 201},
		{method: "POST", url: "/app/a/consumer", body: `{"uid":"k"}`, status: 201, save: "k=id"},
	})
	return w
}

// consumerK is consumer k, and its application.
func (w *world) consumerK() (hark.Application, hark.Endpoint) {
	w.t.Helper()
	app, err := w.store.Application(w.t.Context(), w.environment(), "a")
	if err != nil {
		w.t.Fatal(err)
	}
	ep, err := w.store.Endpoint(w.t.Context(), app.Ref, "k")
	if err != nil {
		w.t.Fatal(err)
	}
	return app, ep
}

// settleFeed feeds what is queued for a consumer, as the engine does, and answers how many messages that were.
func (w *world) settleFeed(consumer hark.Endpoint) int {
	w.t.Helper()
	rows, err := w.store.ReadQueue(w.t.Context(), consumer.Ref, store.Position{}, 10)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range rows {
		if err := w.store.Settle(w.t.Context(), []store.Settlement{{Delivery: d, FedAt: time.Now()}}); err != nil {
			w.t.Fatal(err)
		}
	}
	return len(rows)
}

// feed publishes messages and feeds them to consumer k, as the engine does.
func (w *world) feed(n int) {
	w.t.Helper()
	_, ep := w.consumerK()
	for i := range n {
		w.run([]step{{method: "POST", url: "/app/a/msg", body: fmt.Sprintf(`{"eventType":"t%d","channels":["c%d"],"payload":{"lines":
  %d}}`, i%2, i%2, i), status: 202}})
		w.settleFeed(ep)
	}
}

func TestConsumers(t *testing.T) {
	w := consumer(t)
	w.run([]step{
		{method: "GET", url: "/app/a/consumer/k", status: 200, want: `{"id":"{k}","uid":"k","eventTypes":null,"paused":false}`},
		{method: "GET", url: "/app/a/consumer", status: 200, want: `{"data":[{"id":"{k}"}],"done":true}`},
		{method: "GET", url: "/app/a/endpoint", status: 200, want: `{"data":[]}`},
		{method: "GET", url: "/app/a/endpoint/{k}", status: 404},
		{method: "GET", url: "/app/a/endpoint/k", status: 404},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://example.com","uid":"k"}`, status: 409},
		{method: "POST", url: "/app/a/endpoint", body: `{"url":"https://example.com","uid":"e"}`, status: 201, save: "e=id"},
		{method: "GET", url: "/app/a/consumer/{e}", status: 404},
		{method: "POST", url: "/app/a/consumer", body: `{"uid":"sink_x"}`, status: 422},
		{method: "POST", url: "/app/a/consumer", body: `{"secret":"short"}`, status: 422, want: `{"detail":[{"loc":["body","secret"]}]}`},
		{method: "POST", url: "/app/a/consumer", body: `{"uid":"own","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, status: 201, save: "own=id"},
		{method: "GET", url: "/app/a/consumer/own/secret", status: 200, want: `{"key":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`},
		{method: "DELETE", url: "/app/a/consumer/own", status: 204},
		{method: "POST", url: "/app/a/consumer", body: `{"since":"2100-01-01T00:00:00Z"}`, status: 422},
		{method: "POST", url: "/app/a/consumer", body: `{"since":"2024-01-01T00:00:00Z","filter":{"a":1}}`, status: 201, want: `{"filter":{"a":1}}`},
		{method: "PATCH", url: "/app/a/consumer/k", body: `{"paused":true,"channels":["x"],"description":"d"}`, status: 200, want: `{"paused":true,"channels":["x"],"description":"d"}`},
		{method: "POST", url: "/app/a/consumer/k/replay-missing", body: `{"since":"2024-01-01T00:00:00Z"}`, status: 202},
		{method: "DELETE", url: "/app/a/consumer/k", status: 204},
		{method: "GET", url: "/app/a/consumer/k/messages", status: 404},
	})
}

func TestConsumers_HaveASecret(t *testing.T) {
	w := consumer(t)
	w.run([]step{
		{method: "GET", url: "/app/a/consumer/k/secret", status: 200, save: "first=key"},
		{method: "POST", url: "/key", body: `{"name":"p","scope":"publish"}`, status: 201, save: "publisher=key"},
	})
	if key, err := webhook.ParseKey(w.names["first"]); err != nil || !key.CanSign() {
		t.Errorf("%q: %v", w.names["first"], err)
	}
	w.keys["publisher"] = w.names["publisher"]
	w.run([]step{
		{as: "publisher", method: "GET", url: "/app/a/consumer/k/secret", status: 403},
		{as: "publisher", method: "GET", url: "/app/a/consumer/k/listen", status: 426},
		{method: "GET", url: "/app/a/consumer/k/secret", status: 200, want: `{"key":"{first}"}`},
		{method: "POST", url: "/app/a/consumer/k/ack", body: `{"group":"g\u001fturn","cursor":"at_0"}`, status: 422},
		{method: "POST", url: "/app/a/consumer", body: `{"eventTypes":["of.a.source"]}`, status: 201, want: `{"eventTypes":["of.a.source"]}`},
	})
	// One that was made when consumers had none.
	app, err := w.store.Application(t.Context(), w.environment(), "a")
	if err != nil {
		t.Fatal(err)
	}
	old := hark.Endpoint{ApplicationRef: app.Ref, ID: hark.NewConsumerID(time.Now()), UID: "old", CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if _, err := w.store.InsertEndpoint(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	w.run([]step{
		{method: "GET", url: "/app/a/consumer/old/secret", status: 200, save: "old=key"},
		{method: "GET", url: "/app/a/consumer/old/secret", status: 200, want: `{"key":"{old}"}`},
	})
}

func TestConsumers_AreReadAndAcknowledged(t *testing.T) {
	w := consumer(t)
	w.run([]step{{method: "GET", url: "/app/a/consumer/k/messages", status: 200, want: `{"data":[],"gaps":[],"cursor":"at_0","done":true}`}})
	w.feed(5)
	w.run([]step{
		{method: "GET", url: "/app/a/consumer/k/messages?limit=2", status: 200, save: "c=cursor", want: `{"data":[{"seq":1,"payload":{"lines":0}},{"seq":2}],"done":false}`},
		{method: "GET", url: "/app/a/consumer/k/messages?cursor={c}&limit=250&wait=1", status: 200, want: `{"data":[{"seq":3},{"seq":4},{"seq":5}],"cursor":"at_5","done":true}`},
		{method: "GET", url: "/app/a/consumer/k/messages?cursor=at_9", status: 422},
		{method: "GET", url: "/app/a/consumer/k/messages?cursor=yesterday", status: 422},
		{method: "GET", url: "/app/a/consumer/k/messages?wait=61", status: 422},
		{method: "GET", url: "/app/a/consumer/k/messages?cursor=end", status: 200, want: `{"data":[],"cursor":"at_5"}`},
		{method: "GET", url: "/app/a/consumer/k/messages?cursor=2024-01-01T00:00:00Z&event_type=t1", status: 200, want: `{"data":[{"seq":2},{"seq":4}],"cursor":"at_5"}`},
		{method: "POST", url: "/app/a/consumer/k/ack", body: `{"group":"g","cursor":"{c}"}`, status: 200, want: `{"cursor":"at_2"}`},
		{method: "POST", url: "/app/a/consumer/k/ack", body: `{"group":"g","cursor":"at_1"}`, status: 200, want: `{"cursor":"at_2"}`},
		{method: "POST", url: "/app/a/consumer/k/ack", body: `{"group":"g","cursor":"at_6"}`, status: 422},
		{method: "POST", url: "/app/a/consumer/k/ack", body: `{"group":"","cursor":"at_1"}`, status: 422},
		{method: "GET", url: "/app/a/consumer/k/messages?group=g", status: 200, want: `{"data":[{"seq":3},{"seq":4},{"seq":5}]}`},
		{method: "POST", url: "/app/a/consumer/k/seek", body: `{"group":"g","to":"start"}`, status: 200, want: `{"cursor":"at_0"}`},
	})
}

func TestPoller_SpeaksAsSvixDoes(t *testing.T) {
	w := consumer(t)
	w.feed(5)
	w.run([]step{
		{method: "GET", url: "/app/a/poller/k?limit=3", status: 200, save: "i=iterator",
			want: `{"data":[{"id":"*","eventType":"t0","payload":{"lines":0},"timestamp":"*","eventId":null,"channels":["c0"],"tags":null,"deliverAt":null,"headers":null},{},{}],"done":false}`},
		{method: "GET", url: "/app/a/poller/k?iterator={i}", status: 200, want: `{"data":[{"payload":{"lines":3}},{"payload":{"lines":4}}],"iterator":"*","done":true}`},
		{method: "GET", url: "/app/a/poller/{k}?channel=c1", status: 200, want: `{"data":[{"payload":{"lines":1}},{"payload":{"lines":3}}]}`},
		{method: "GET", url: "/app/a/poller/{k}?after=2100-01-01T00:00:00Z", status: 200, want: `{"data":[],"done":true}`},
		// The server keeps the place.
		{method: "GET", url: "/app/a/poller/k/consumer/one?limit=2", status: 200, want: `{"data":[{"payload":{"lines":0}},{"payload":{"lines":1}}],"done":false}`},
		{method: "GET", url: "/app/a/poller/k/consumer/one?limit=2", status: 200, want: `{"data":[{"payload":{"lines":2}},{"payload":{"lines":3}}]}`},
		{method: "GET", url: "/app/a/poller/k/consumer/two?limit=1", status: 200, want: `{"data":[{"payload":{"lines":0}}]}`},
		{method: "GET", url: "/app/a/poller/k/consumer/one?iterator={i}", status: 200, want: `{"data":[{"payload":{"lines":3}},{"payload":{"lines":4}}],"done":true}`},
		// Who comes with an iterator has not done with what is behind it.
		{method: "GET", url: "/app/a/poller/k/consumer/one", status: 200, want: `{"data":[{"payload":{"lines":3}},{"payload":{"lines":4}}],"iterator":"at_5","done":true}`},
		{method: "GET", url: "/app/a/poller/k/consumer/one", status: 200, want: `{"data":[],"iterator":"at_5","done":true}`},
		{method: "GET", url: "/app/a/poller/k/consumer/%1fone", status: 422},
		{method: "POST", url: "/app/a/poller/k/consumer/one/seek", body: `{"after":"2024-01-01T00:00:00Z"}`, status: 200, want: `{"iterator":"at_0"}`},
		{method: "GET", url: "/app/a/poller/k/consumer/one?limit=1", status: 200, want: `{"data":[{"payload":{"lines":0}}]}`},
		{method: "POST", url: "/app/a/poller/k/consumer/one/seek", body: `{}`, status: 422},
	})
}

// The SDKs ask again when they got no answer, and say so.
func TestPoller_AnswersARetryWithWhatMayHaveBeenLost(t *testing.T) {
	w := consumer(t)
	w.feed(5)
	poll := func(query string, again bool, want ...int) {
		t.Helper()
		s := step{method: "GET", url: "/app/a/poller/k/consumer/one" + query}
		if again {
			s.header = "svix-retry-count: 1"
		}
		rec := w.do(s)
		var out struct {
			Data []struct{ Payload struct{ Lines int } }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		var got []int
		for _, m := range out.Data {
			got = append(got, m.Payload.Lines)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, again: %v: got %v, want %v", query, again, got, want)
		}
	}
	poll("?limit=2", true, 0, 1) // the first try never came here
	poll("?limit=2", true, 0, 1)
	poll("?limit=2", false, 2, 3)
	poll("?limit=2", true, 2, 3)
	poll("", false, 4)
	poll("", false)
	poll("", true) // the answer before was empty, too
	w.feed(1)
	poll("", true, 0)
	poll("", true, 0)
	w.run([]step{{method: "POST", url: "/app/a/poller/k/consumer/one/seek", body: `{"after":"2024-01-01T00:00:00Z"}`, status: 200}})
	poll("?limit=1", true, 0)
	poll("?iterator=at_3", false, 3, 4, 0)
	poll("?limit=1", true, 3)
	poll("?limit=1", false, 4)
}

func TestConsumers_LongPollIsAnsweredWhenAMessageComes(t *testing.T) {
	w := consumer(t)
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- w.do(step{method: "GET", url: "/app/a/consumer/k/messages?wait=30"}) }()
	time.Sleep(50 * time.Millisecond)
	w.feed(1)
	select {
	case r := <-done:
		if !strings.Contains(r.Body.String(), `"seq":1`) {
			t.Errorf("answer %s", r.Body)
		}
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
}

// event is one server-sent event.
type event struct{ id, name, data string }

// open opens an event stream and hands out its events.
func (w *world) open(server *httptest.Server, query, lastID string) (events <-chan event, leave func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/app/a/consumer/k/stream"+query, nil)
	if !strings.Contains(query, "token=") {
		req.Header.Set("Authorization", "Bearer "+w.keys["live"])
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("stream: %s, %v", res.Status, res.Header)
	}
	out := make(chan event, 100)
	go func() {
		defer close(out)
		defer res.Body.Close()
		var e event
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data += value
			case "":
				if e.id != "" {
					out <- e
				}
				e = event{}
			}
		}
	}()
	return out, cancel
}

func (w *world) next(events <-chan event) event {
	w.t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			w.t.Fatal("the stream ended")
		}
		return e
	case <-time.After(time.Minute):
		w.t.Fatal("no event")
	}
	return event{}
}

func TestStream_GoesOnBehindTheLastEvent(t *testing.T) {
	w := consumer(t)
	server := httptest.NewServer(w.api)
	defer server.Close()
	w.feed(2)
	events, leave := w.open(server, "", "")
	for i := range 2 {
		e := w.next(events)
		var m MessageOut
		if err := json.Unmarshal([]byte(e.data), &m); err != nil || e.name != fmt.Sprintf("t%d", i) || m.EventType != e.name {
			t.Errorf("event %d: %+v, %v", i, e, err)
		}
	}
	w.feed(1)
	last := w.next(events)
	leave()
	w.feed(3)
	events, leave = w.open(server, "", last.id)
	defer leave()
	for i := range 3 {
		if e := w.next(events); e.id != fmt.Sprintf("at_%d", 4+i) {
			t.Errorf("id %s", e.id)
		}
	}
	// A consumer that is deleted, or a server that stops, ends it.
	w.api.Streams.Stop()
	for range events {
	}
}

func TestStream_SaysWhatHasExpired(t *testing.T) {
	w := consumer(t)
	server := httptest.NewServer(w.api)
	defer server.Close()
	w.feed(3)
	late := time.Now().Add(hark.DefaultRetention + time.Hour)
	for more := true; more; {
		var err error
		if more, err = w.store.Reclaim(t.Context(), late, 1000); err != nil {
			t.Fatal(err)
		}
	}
	w.feed(1)
	events, leave := w.open(server, "?cursor=at_1", "")
	defer leave()
	if e := w.next(events); e.name != "gap" || e.id != "at_3" || e.data != `{"from":2,"to":3,"missed":2}` {
		t.Errorf("gap: %+v", e)
	}
	if e := w.next(events); e.id != "at_4" {
		t.Errorf("behind the gap: %+v", e)
	}
}

func TestStream_TakesAnApplicationsTokenInTheQuery(t *testing.T) {
	w := consumer(t)
	server := httptest.NewServer(w.api)
	defer server.Close()
	w.feed(1)
	w.run([]step{{method: "POST", url: "/auth/app-portal-access/a", body: `{}`, status: 200, save: "token=token"}})
	events, leave := w.open(server, "?token="+w.names["token"], "")
	defer leave()
	w.next(events)
	w.keys["nobody"] = ""
	w.run([]step{
		{as: "nobody", method: "GET", url: "/app/a/consumer/k/stream?token=" + w.keys["live"], status: 401},
		{as: "nobody", method: "GET", url: "/app/a/consumer/k/messages?token=" + w.names["token"], status: 401},
		{method: "GET", url: "/app/a/consumer/k/ws", status: 426},
	})
}

// said is what the server says on a WebSocket.
type said struct {
	Type, Cursor, Code string
	Seq                int64
	Message            MessageOut
}

func TestSocket_SendsAsMuchAsTheWindowHoldsAndKeepsThePlace(t *testing.T) {
	w := consumer(t)
	server := httptest.NewServer(w.api)
	defer server.Close()
	w.feed(5)
	dial := func() (hear func() said, say func(string)) {
		conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/api/v1/app/a/consumer/k/ws",
			&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + w.keys["live"]}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		heard := make(chan said, 100)
		go func() {
			defer close(heard)
			for {
				_, text, err := conn.Read(context.WithoutCancel(t.Context()))
				if err != nil {
					return
				}
				var s said
				_ = json.Unmarshal(text, &s)
				heard <- s
			}
		}()
		hear = func() said {
			select {
			case s := <-heard:
				return s
			case <-time.After(300 * time.Millisecond):
				return said{Type: "silence"}
			}
		}
		return hear, func(text string) {
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(got said, kind string, seq int64) {
		t.Helper()
		if got.Type != kind || got.Seq != seq {
			t.Fatalf("heard %+v, want %s %d", got, kind, seq)
		}
	}
	hear, say := dial()
	say(`{"type":"subscribe","group":"g","window":2}`)
	expect(hear(), "subscribed", 0)
	expect(hear(), "message", 1)
	expect(hear(), "message", 2)
	expect(hear(), "silence", 0)
	say(`{"type":"ack","seq":1}`)
	expect(hear(), "acked", 1)
	expect(hear(), "message", 3)
	expect(hear(), "silence", 0)
	say(`{"type":"ack","seq":3}`)
	expect(hear(), "acked", 3)
	expect(hear(), "message", 4)
	expect(hear(), "message", 5)
	say(`{"type":"ack","seq":5}`)
	expect(hear(), "acked", 5)
	w.feed(1)
	expect(hear(), "message", 6)
	say(`{"type":"ack","seq":99}`)
	if s := hear(); s.Type != "error" || s.Code == "" {
		t.Errorf("an ack of what was not sent: %+v", s)
	}
	// The group goes on behind its last ack.
	hear, say = dial()
	say(`{"type":"subscribe","group":"g"}`)
	expect(hear(), "subscribed", 0)
	expect(hear(), "message", 6)
	// Another begins where it says.
	hear, say = dial()
	say(`{"type":"subscribe","from":"at_4"}`)
	expect(hear(), "subscribed", 0)
	expect(hear(), "message", 5)
	hear, say = dial()
	say(`{"type":"hello"}`)
	expect(hear(), "error", 0)
}

func TestSocket_TakesAcksAsFastAsTheyCome(t *testing.T) {
	w := consumer(t)
	server := httptest.NewServer(w.api)
	defer server.Close()
	w.feed(1)
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/api/v1/app/a/consumer/k/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + w.keys["live"]}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	say := func(text string) {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	first, end := make(chan bool, 1), make(chan said, 1)
	go func() {
		for {
			_, text, err := conn.Read(context.WithoutCancel(t.Context()))
			var s said
			if err == nil {
				err = json.Unmarshal(text, &s)
			}
			if s.Type == "message" && s.Seq == 1 {
				first <- true
			}
			if err != nil || s.Type == "error" || s.Seq == 2 {
				end <- s
				return
			}
		}
	}()
	say(`{"type":"subscribe"}`)
	select {
	case <-first: // and nothing is under way
	case s := <-end:
		t.Fatalf("heard %+v", s)
	}
	for range 100 { // two at once, when the server waits for one
		say(`{"type":"ack","seq":1}`)
		say(`{"type":"ack","seq":1}`)
		time.Sleep(time.Millisecond)
	}
	w.feed(1)
	if s := <-end; s.Type != "message" {
		t.Errorf("heard %+v", s)
	}
}

func TestRateLimit_TellsAndRefuses(t *testing.T) {
	w := consumer(t)
	w.api.limiter.most = 3
	var last *httptest.ResponseRecorder
	for range 10 {
		if last = w.do(step{method: "GET", url: "/app/a"}); last.Code != 200 {
			break
		}
		if last.Header().Get("RateLimit") == "" || last.Header().Get("RateLimit-Policy") != `"default";q=3;w=1` {
			t.Fatalf("headers %v", last.Header())
		}
	}
	if last.Code != 429 || last.Header().Get("Retry-After") != "1" || last.Header().Get("RateLimit") != `"default";r=0;t=1` {
		t.Errorf("the fourth in a second: %d %v", last.Code, last.Header())
	}
}

// text is what a GET answers, to the letter.
func (w *world) text(path string) string { return w.do(step{method: "GET", url: path}).Body.String() }

// feedInbound makes messages of requests, as sources do, and feeds them to consumer k.
func (w *world) feedInbound(head hark.Head, bodies ...string) {
	w.t.Helper()
	app, ep := w.consumerK()
	for _, body := range bodies {
		now := time.Now()
		m := hark.Message{ApplicationRef: app.Ref, ID: hark.NewMessageID(now), EventType: "in", Head: head.Encode(), CreatedAt: now, Matched: []hark.Ref{ep.Ref}}
		if json.Valid([]byte(body)) && body[0] == '{' {
			m.Payload = []byte(body)
		} else {
			m.RawBody = []byte(body)
		}
		a := &store.Acceptance{EnvironmentID: w.environment(), Message: m, Deliveries: []hark.Delivery{{EndpointRef: ep.Ref, ApplicationRef: app.Ref, Due: now.UnixMilli()}}}
		if err := w.store.Accept(w.t.Context(), []*store.Acceptance{a}); err != nil {
			w.t.Fatal(err)
		}
		if n := w.settleFeed(ep); n != 1 {
			w.t.Fatalf("%d rows were queued", n)
		}
	}
}

// What a source took goes to whoever fetches it as whole as to an endpoint.
func TestConsumers_GetBodiesAndHeadersOfSources(t *testing.T) {
	w := consumer(t)
	head := hark.Head{SourceID: "src_1", RequestID: "req_1", Method: "PUT", Path: "/x", Query: "q=1", Header: []hark.HeadField{
		{Name: "Authorization", Value: "Bearer s"}, {Name: "Cookie", Value: "c"}, {Name: "X-M", Value: "one"}, {Name: "X-M", Value: "two"},
	}}
	w.feedInbound(head, "From=%2B1&Body=hi", "\xff\x00", `[1, 2]`, `{ "a" : 1.0 }`)
	request := `"request":{"id":"req_1","sourceId":"src_1","method":"PUT","path":"/x","query":"q=1","headers":{"X-M":["one","two"]}}`
	wants := []string{
		`"payload":{},"channels":null`, `"body":"From=%2B1\u0026Body=hi",` + request,
		`"bodyBase64":"/wA=",` + request, `"body":"[1, 2]",` + request,
		`"payload":{ "a" : 1.0 },"channels":null`, `"deliverAt":null,` + request,
	}
	for _, path := range []string{"/app/a/consumer/k/messages", "/app/a/poller/k", "/app/a/poller/k/consumer/g", "/app/a/msg"} {
		got := w.text(path)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("GET %s: want %s\nin %s", path, want, got)
			}
		}
		if isPoller, hasHeaders := strings.Contains(path, "poller"), strings.Contains(got, `"headers":{"X-M":"one, two"}}`); isPoller != hasHeaders {
			t.Errorf("GET %s: headers as Svix has them: %v, in %s", path, hasHeaders, got)
		}
		for _, not := range []string{"Bearer s", "Cookie"} {
			if strings.Contains(got, not) {
				t.Errorf("GET %s: %s is for Hark alone, in %s", path, not, got)
			}
		}
	}
	if got := w.text("/app/a/msg?with_content=false"); strings.Contains(got, "body") || strings.Contains(got, "request") {
		t.Errorf("without content: %s", got)
	}
	head.Credentials = true
	w.feedInbound(head, "<x/>")
	if got := w.text("/app/a/consumer/k/messages?cursor=at_4"); !strings.Contains(got, `"Authorization":["Bearer s"]`) {
		t.Errorf("a source that forwards credentials: %s", got)
	}
}

// A payload is read as it was published: encoding/json would take its white space out.
func TestReads_LeavePayloadsAsTheyAre(t *testing.T) {
	w := consumer(t)
	w.feed(1)
	w.run([]step{{method: "POST", url: "/app/a/msg", body: `{"eventType":"t","eventId":"own","payload":{"lines":
  0}}`, status: 202}})
	for _, path := range []string{"/app/a/consumer/k/messages", "/app/a/poller/k", "/app/a/msg", "/app/a/msg/own"} {
		if got := w.text(path); !strings.Contains(got, "{\"lines\":\n  0}") {
			t.Errorf("GET %s: %s", path, got)
		}
	}
}
