package relay

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// frame is a message of either side.
type frame struct {
	Type    string `json:"type"`
	Version int    `json:"version"`
	Data    data   `json:"data"`
}

// data has the fields of all messages; a message has some of them.
type data struct {
	Token   string            `json:"token,omitempty"`
	ID      string            `json:"id,omitempty"`
	Method  string            `json:"method,omitempty"`
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    *[]byte           `json:"body,omitempty"` // base64; also an empty one is there
}

const version = 1

// socket is one connected client.
type socket struct {
	conn    *websocket.Conn
	gone    chan struct{} // closed when the client has left
	limiter *rate.Limiter

	mu      sync.Mutex
	waiting map[string]chan data // by id, for its answer
}

// connect upgrades the connection and listens to the client until it leaves.
func (r *Relay) connect(w http.ResponseWriter, req *http.Request) {
	caller := r.Caller(req)
	if !r.enter(caller) {
		refuse(w, http.StatusTooManyRequests, "overloaded", "Too many listeners", time.Minute)
		return
	}
	defer r.exit(caller)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	// The library refuses pages of other origins; the client is no browser, and names none.
	conn, err := websocket.Accept(w, req, nil)
	if err != nil {
		return // it was answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxFrameBytes)
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	defer cancel()
	s := &socket{conn: conn, gone: make(chan struct{}), limiter: rate.NewLimiter(perSecond, burst), waiting: map[string]chan data{}}
	defer close(s.gone)
	token, ok := s.start(ctx)
	if !ok {
		_ = conn.Close(websocket.StatusPolicyViolation, "Say start first, with a token: c_ and ten letters or digits")
		return
	}
	if !r.register(ctx, token, s) {
		_ = conn.Close(websocket.StatusPolicyViolation, "This socket is already in use")
		return
	}
	defer r.unregister(token, s)
	if s.write(ctx, frame{Type: "start", Version: version, Data: data{Token: token}}) != nil {
		return
	}
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	go func() {
		defer close(done)
		defer cancel()
		s.keep(ctx, r.Ping, r.stop)
	}()
	s.listen(ctx)
}

// enter counts a socket in, if there is room.
func (r *Relay) enter(caller netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open >= maxSockets || r.callers[caller] >= maxPerCaller {
		return false
	}
	r.open++
	r.callers[caller]++
	return true
}

func (r *Relay) exit(caller netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if r.callers[caller]--; r.callers[caller] == 0 {
		delete(r.callers, caller)
	}
}

// register gives a token to a socket. One that has it already keeps it, if it is still alive: a laptop
// that slept comes back before its old connection is known to be dead.
func (r *Relay) register(ctx context.Context, token string, s *socket) bool {
	r.mu.Lock()
	old := r.sockets[token]
	r.mu.Unlock()
	if old != nil {
		alive, cancel := context.WithTimeout(ctx, aliveIn)
		defer cancel()
		if old.conn.Ping(alive) == nil {
			return false
		}
		_ = old.conn.CloseNow()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets[token] != old && r.sockets[token] != nil {
		return false // somebody was faster
	}
	r.sockets[token] = s
	return true
}

func (r *Relay) unregister(token string, s *socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets[token] == s {
		delete(r.sockets, token)
	}
}

// start reads the first message.
func (s *socket) start(ctx context.Context) (token string, ok bool) {
	first, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	f, err := s.read(first)
	return f.Data.Token, err == nil && f.Type == "start" && IsToken(f.Data.Token)
}

// read reads a message. Clients send text and binary alike.
func (s *socket) read(ctx context.Context) (f frame, err error) {
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		return f, err
	}
	if json.Unmarshal(text, &f) != nil {
		return frame{}, nil // the next may be better
	}
	return f, nil
}

// listen hands answers to those who wait for them, until the client leaves.
func (s *socket) listen(ctx context.Context) {
	for {
		f, err := s.read(ctx)
		if err != nil {
			return
		}
		if f.Type != "event" {
			continue
		}
		s.mu.Lock()
		if waits := s.waiting[f.Data.ID]; waits != nil {
			delete(s.waiting, f.Data.ID)
			waits <- f.Data // it has room for one
		}
		s.mu.Unlock()
	}
}

// keep keeps the connection, which the client leaves when it hears nothing, until the end.
func (s *socket) keep(ctx context.Context, every time.Duration, end <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-end:
			_ = s.conn.Close(websocket.StatusGoingAway, "the server stops; connect again")
			return
		case <-time.After(every):
		}
		pong, cancel := context.WithTimeout(ctx, every)
		err := s.conn.Ping(pong)
		cancel()
		if err != nil {
			return
		}
	}
}

// write sends a message. Whoever cannot take it in time is disconnected.
func (s *socket) write(ctx context.Context, f frame) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeIn)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, text)
}

// expect is a place for the answer to an id, while there is room.
func (s *socket) expect(id string) (<-chan data, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxWaiting {
		return nil, false
	}
	waits := make(chan data, 1)
	s.waiting[id] = waits
	return waits, true
}

func (s *socket) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}
