package sdk

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark/test/harness"
)

// svixListen does what svix listen 2.0 does, for that program cannot be had here: it is in no package
// registry. It says start in a binary frame, replays each event on one local URL, and answers in binary
// frames; it says nothing when the local server cannot be reached; it leaves after a silence of a ping
// and a half.
func svixListen(ctx context.Context, server, token, local string, started chan<- string) error {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(server, "http")+"/api/v1/listen/", nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	type message struct {
		Type    string          `json:"type"`
		Version int             `json:"version"`
		Data    json.RawMessage `json:"data"`
	}
	send := func(kind string, data any) error {
		inner, err := json.Marshal(data)
		if err != nil {
			return err
		}
		text, err := json.Marshal(message{kind, 1, inner})
		if err != nil {
			return err
		}
		return conn.Write(ctx, websocket.MessageBinary, text)
	}
	if err := send("start", map[string]string{"token": token}); err != nil {
		return err
	}
	for {
		heard, cancel := context.WithTimeout(ctx, 31*time.Second)
		_, text, err := conn.Read(heard)
		cancel()
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		if m.Type == "start" {
			var d struct{ Token string }
			if err := json.Unmarshal(m.Data, &d); err != nil {
				return err
			}
			started <- d.Token
			continue
		}
		var e struct {
			ID      string            `json:"id"`
			Method  string            `json:"method"`
			Headers map[string]string `json:"headers"`
			Body    []byte            `json:"body"`
		}
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return err
		}
		go func() {
			req, err := http.NewRequestWithContext(ctx, e.Method, local, bytes.NewReader(e.Body))
			if err != nil {
				return
			}
			for name, value := range e.Headers {
				req.Header.Set(name, value)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			headers := map[string]string{}
			for name, values := range resp.Header {
				headers[strings.ToLower(name)] = values[0]
			}
			_ = send("event", map[string]any{"id": e.ID, "status": resp.StatusCode, "headers": headers, "body": body})
		}()
	}
}

// TestRelay_SvixListenGetsWebhooks sends a signed webhook through the relay of a real server.
func TestRelay_SvixListenGetsWebhooks(t *testing.T) {
	const token, secret = "c_TestRelay1", "It's a secret"
	s := harness.Run(t, "--log-level", "warn", "--relay")
	local := harness.NewSink(t, func(w http.ResponseWriter, r *http.Request, a harness.Arrival) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(a.Body)
		if r.Header.Get("X-Hub-Signature-256") != fmt.Sprintf("sha256=%x", mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "baked")
	})
	send := func(body string) (int, string) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/in/"+token+"/", strings.NewReader(body))
		fine(t, err)
		req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		fine(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		fine(t, err)
		return resp.StatusCode, string(text)
	}
	if status, _ := send("{}"); status != http.StatusServiceUnavailable {
		t.Errorf("with nobody connected: %d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- svixListen(ctx, s.URL, token, local.URL, started) }()
	select {
	case got := <-started:
		if got != token {
			t.Errorf("the server calls it %s", got)
		}
	case err := <-ended:
		t.Fatal(err)
	}
	for _, body := range []string{`{"ref": "refs/heads/main"}`, "\x00\xff not even text", strings.Repeat("x", 1<<20)} {
		if status, text := send(body); status != http.StatusAccepted || text != "baked" {
			t.Errorf("%.20q: %d %s", body, status, text)
		}
	}
	if err := svixListen(ctx, s.URL, token, local.URL, started); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("the second listener: %v", err)
	}
	cancel()
	<-ended
	closed := harness.Run(t, "--log-level", "warn") // without --relay
	if err := svixListen(t.Context(), closed.URL, token, local.URL, started); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a server that has no relay: %v", err)
	}
}
