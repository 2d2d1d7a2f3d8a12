package listen

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

func TestForwarder_NoAnswerInTimeIsAFailureAndNotALoss(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	target, _ := url.Parse(server.URL)
	f := newForwarder(&Options{ForwardTo: target})
	f.http.Timeout = 50 * time.Millisecond
	r, err := f.send(t.Context(), &Message{ID: "msg_1"})
	if err != nil || r.Status != 0 || !strings.HasPrefix(r.Err, "no answer within") || r.Took < 50*time.Millisecond {
		t.Errorf("%+v, %v", r, err)
	}
	f.http.Timeout = time.Minute // so that it is not first
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if r, err := f.send(ctx, &Message{ID: "msg_1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an end of the listener became an answer: %+v, %v", r, err)
	}
}

func TestForwarder_WhatIsNoHTTPIsToldInAFrameThatTheServerTakes(t *testing.T) {
	local, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	go func() {
		conn, err := local.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = conn.Write([]byte(strings.Repeat("é\x01", 100_000) + "\r\n\r\n")) // which the error quotes
		_ = conn.Close()
	}()
	l := &Listener{forward: newForwarder(&Options{ForwardTo: &url.URL{Scheme: "http", Host: local.Addr().String(), Path: "/"}})}
	r, err := l.forward.send(t.Context(), &Message{ID: "msg_1"})
	if err != nil || r.Status != 0 || !strings.Contains(r.Err, "malformed HTTP") {
		t.Fatalf("%.100v, %v", r, err)
	}
	const taken = 96 << 10 // by the server: a longer one would end the connection, again and again
	if text, err := json.Marshal(l.told(r)); err != nil || len(text) > taken {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestSigned_ChangesEverySignatureOfHarkAndNoOther(t *testing.T) {
	key := webhook.GenerateKey()
	m := &Message{ID: "msg_1", Header: []hark.HeadField{
		{Name: "Stripe-Signature", Value: "t=1,v1=x"}, {Name: "X-Event-Id", Value: "evt_1"}, {Name: "webhook-id", Value: "msg_1"}, {Name: "webhook-timestamp", Value: "1"}, {Name: "webhook-signature", Value: "old"},
		{Name: "acme-id", Value: "msg_1"}, {Name: "acme-timestamp", Value: "1"}, {Name: "acme-signature", Value: "old"}, {Name: "X-Event-Signature", Value: "theirs"},
	}}
	body, at := []byte("{}"), time.Unix(1_700_000_000, 0)
	got := signed(m, key, "msg_2", body, at)
	signature := string(key.AppendSignature(nil, "msg_2", at.Unix(), body))
	want := []hark.HeadField{
		{Name: "Stripe-Signature", Value: "t=1,v1=x"}, {Name: "X-Event-Id", Value: "evt_1"}, {Name: "webhook-id", Value: "msg_2"}, {Name: "webhook-timestamp", Value: "1700000000"}, {Name: "webhook-signature", Value: signature},
		{Name: "acme-id", Value: "msg_2"}, {Name: "acme-timestamp", Value: "1700000000"}, {Name: "acme-signature", Value: signature}, {Name: "X-Event-Signature", Value: "theirs"},
	}
	if !slices.Equal(got.Header, want) || got.ID != "msg_2" || m.Header[2].Value != "msg_1" {
		t.Errorf("%v", got.Header)
	}
}

// A server that is started anew ends what it was asked in the middle: it is asked once more. One that a message
// makes crash is not asked for ever.
func TestDeal_WhatWasCutOffIsSentOnceMore(t *testing.T) {
	for _, tt := range []struct {
		crashes, asked int
		want           string
	}{{0, 1, ""}, {1, 2, ""}, {5, 2, "the connection was closed without an answer"}} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked <= tt.crashes {
				panic(http.ErrAbortHandler)
			}
		}))
		target, _ := url.Parse(server.URL)
		var events []Event
		l, err := New(Options{Server: "http://127.0.0.1:1", Machine: "m", ForwardTo: target, Emit: func(e Event) { events = append(events, e) }})
		if err != nil {
			t.Fatal(err)
		}
		it := message(1)
		l.line.add(it)
		if err := l.deal(t.Context(), t.Context(), new(worker), &it); err != nil {
			t.Fatal(err)
		}
		server.Close()
		r, ok := events[len(events)-1].(Response)
		if asked != tt.asked || !ok || r.Err != tt.want {
			t.Errorf("%d crashes: asked %d times, %+v", tt.crashes, asked, events)
		}
		if w, ok := events[1].(Waiting); ok != (tt.crashes > 0) || ok && !w.CutOff {
			t.Errorf("%d crashes: %+v", tt.crashes, events)
		}
		if a, found := l.line.answers[1]; !found || a.reply.Error != tt.want {
			t.Errorf("%d crashes: the server is told %+v", tt.crashes, a)
		}
	}
}

func TestSend_SaysPlainlyWhatIsNoAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		"":                         "the connection was closed without an answer",
		"\x00\xfe nothing\r\n\r\n": `what came is no HTTP answer: malformed HTTP status code "nothing"`,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf":       "the answer broke off",
		"HTTP/1.1 200 OK\r\nno header\r\n\r\n":                   `what came is no HTTP answer: malformed MIME header: missing colon: "no header"`,
		"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n":        "",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end": "",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}()
		target, _ := url.Parse("http://" + l.Addr().String())
		r, err := newForwarder(&Options{ForwardTo: target}).send(t.Context(), &Message{ID: "msg_1"})
		if err != nil || r.Err != want {
			t.Errorf("%q: %+v, %v, want %q", answer, r, err, want)
		}
		_ = l.Close()
	}
}

func TestSend_SaysThatItSpeaksNoHTTPS(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	target, _ := url.Parse("https" + strings.TrimPrefix(server.URL, "http"))
	r, err := newForwarder(&Options{ForwardTo: target}).send(t.Context(), &Message{ID: "msg_1"})
	if want := "it speaks HTTP there, and not HTTPS"; err != nil || r.Err != want {
		t.Errorf("%+v, %v, want %q", r, err, want)
	}
}
