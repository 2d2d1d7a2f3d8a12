package listen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark"
)

// The other side is internal/tunnel, where the protocol is written down.

const (
	protocol   = "hark-listen-v1"
	window     = 16
	dialLimit  = 15 * time.Second
	writeLimit = time.Minute
	silence    = 12 * time.Second // the server says something every four
	maxFrame   = 64 << 20         // the largest body that a source takes, in base64, with its headers
)

// reply is what is said to the server.
type reply struct {
	Type       string         `json:"type"`
	Group      string         `json:"group,omitempty"`
	From       string         `json:"from,omitempty"`
	Window     int            `json:"window,omitempty"`
	URL        string         `json:"url,omitempty"`
	Seq        int64          `json:"seq,omitempty"`
	ID         hark.MessageID `json:"id,omitempty"`
	Status     int            `json:"status,omitempty"`
	Headers    [][]string     `json:"headers,omitempty"`
	Body       []byte         `json:"body,omitempty"`
	DurationMs float64        `json:"durationMs,omitempty"`
	Error      string         `json:"error,omitempty"`
}

// frame is what the server says.
type frame struct {
	Type      string         `json:"type"`
	Seq       int64          `json:"seq"`
	Cursor    string         `json:"cursor"`
	From      int64          `json:"from"`
	Behind    int64          `json:"behind"`
	ID        hark.MessageID `json:"id"`
	EventType string         `json:"eventType"`
	Timestamp time.Time      `json:"timestamp"`
	Method    string         `json:"method"`
	Path      string         `json:"path"`
	Headers   [][]string     `json:"headers"`
	Body      []byte         `json:"body"`
	Code      string         `json:"code"`
	Detail    string         `json:"detail"`
}

// connection is one WebSocket.
type connection struct{ ws *websocket.Conn }

func (c *connection) say(ctx context.Context, r reply) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageText, text)
}

// tunnel connects, and fills the line until the connection ends; wasReady says that there was one.
func (l *Listener) tunnel(ctx context.Context, from string) (wasReady bool, err error) {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	ears := &ears{}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: ears.dial}
	defer transport.CloseIdleConnections()
	ws, err := dial(ctx, l.api, transport, path("app", string(s.ApplicationID), "consumer", string(s.ConsumerID), "listen"))
	if err != nil {
		return false, err
	}
	c := &connection{ws}
	defer func() { _ = ws.CloseNow() }()
	defer l.line.lost(c)
	ws.SetReadLimit(maxFrame)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	defer func() { cancel(); <-watched }()
	go func() {
		defer close(watched)
		if ears.watch(ctx) {
			_ = ws.CloseNow()
		}
	}()
	start := reply{Type: "start", Group: l.group, From: from, Window: window}
	if l.forward != nil {
		start.URL = l.forward.url
	}
	if err := c.say(ctx, start); err != nil {
		return false, err
	}
	for {
		_, text, err := ws.Read(ctx)
		if err != nil {
			return wasReady, ended(err)
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			return wasReady, fmt.Errorf("the server does not speak like Hark: %w", err)
		}
		if err := l.heard(ctx, c, &f, s, &wasReady); err != nil {
			return wasReady, err
		}
	}
}

// ended says plainly why a connection is none any more.
func ended(err error) error {
	if e, ok := errors.AsType[websocket.CloseError](err); ok {
		if e.Reason != "" {
			return errors.New(e.Reason)
		}
		return errors.New("the server closed the connection")
	}
	return errors.New("the connection broke off")
}

// dial opens a WebSocket of the API.
func dial(ctx context.Context, a *api, transport http.RoundTripper, path string) (*websocket.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	ws, resp, err := websocket.Dial(dialing, "ws"+strings.TrimPrefix(a.base, "http")+path, &websocket.DialOptions{
		HTTPClient:   &http.Client{Transport: transport, CheckRedirect: a.http.CheckRedirect},
		HTTPHeader:   a.header(),
		Subprotocols: []string{protocol},
	})
	switch {
	case err == nil:
		return ws, nil
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the first kilobyte of it
		return nil, readError(resp.StatusCode, text)
	}
	return nil, a.unreachable(ctx, err)
}

// heard deals with what the server says.
func (l *Listener) heard(ctx context.Context, c *connection, f *frame, s Session, wasReady *bool) error {
	switch f.Type {
	case "ready":
		after, err := strconv.ParseInt(strings.TrimPrefix(f.Cursor, "at_"), 36, 64)
		if err != nil {
			return fmt.Errorf("the server's cursor %q: %w", f.Cursor, err)
		}
		manual := l.line.ready(c, after)
		*wasReady = true
		l.announce(s, f.Behind)
		for _, r := range manual {
			if err := c.say(ctx, r); err != nil {
				return err
			}
		}
	case "standby":
		l.line.standBy()
		l.emit(Standby{time.Now()})
	case "message":
		m, err := f.message()
		if err != nil {
			return err
		}
		l.line.add(item{seq: f.Seq, message: m})
	case "gap":
		l.line.add(item{seq: f.Seq, gap: Gap{From: f.From, To: f.Seq}})
	case "acked":
		l.line.acked(f.Seq)
	case "error":
		return &APIError{Status: statusOf(f.Code), Code: f.Code, Detail: f.Detail}
	}
	return nil
}

// statusOf is the HTTP status for the codes that matter here.
func statusOf(code string) int {
	switch hark.Code(code) {
	case hark.Unauthenticated, hark.BadToken:
		return http.StatusUnauthorized
	case hark.Forbidden:
		return http.StatusForbidden
	case hark.NotFound:
		return http.StatusNotFound
	case hark.Invalid, hark.BadRequest:
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

func (f *frame) message() (*Message, error) {
	m := &Message{Seq: f.Seq, ID: f.ID, EventType: f.EventType, CreatedAt: f.Timestamp, Method: f.Method, Path: f.Path, Body: f.Body, Header: make([]hark.HeadField, 0, len(f.Headers))}
	for _, h := range f.Headers {
		field, ok := hark.FieldOf(h)
		if !ok {
			return nil, errors.New("the server does not speak like Hark: a header has a name and a value")
		}
		m.Header = append(m.Header, field)
	}
	return m, nil
}

// ears hear when the connection is dead: the server says something every few seconds. The clock that is
// looked at goes on while a laptop sleeps.
type ears struct{ last atomic.Int64 }

func (e *ears) heard() { e.last.Store(time.Now().UnixMilli()) }

func (e *ears) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	e.heard()
	return &listened{conn, e}, nil
}

// watch says, when it returns before ctx has ended, that nothing was heard for too long.
func (e *ears) watch(ctx context.Context) bool {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
			if time.Now().UnixMilli()-e.last.Load() > silence.Milliseconds() {
				return true
			}
		}
	}
}

type listened struct {
	net.Conn
	ears *ears
}

func (c *listened) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.ears.heard()
	}
	return n, err
}
