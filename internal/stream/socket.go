package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark"
)

// A WebSocket speaks JSON, one object a message:
//
//	client                                          server
//	{"type":"subscribe","group":"workers",          {"type":"subscribed","cursor":"at_…","window":100}
//	 "from":"at_…","window":100}                    {"type":"message","seq":7,"cursor":"at_7","message":{…}}
//	{"type":"ack","seq":7}                          {"type":"gap","seq":9,"cursor":"at_9","gap":{…}}
//	                                                {"type":"acked","seq":7}
//	                                                {"type":"error","code":"…","detail":"…"}
//
// The client subscribes once, first. At most window messages are out without an ack; an ack is for all up
// to its number, and with a group it is the group's place from then on.

// Bounds of a socket.
const (
	defaultWindow = 100
	maxWindow     = 1000
	subscribeIn   = 10 * time.Second
	maxAsked      = 4 << 10 // bytes of what a client says at once
)

// asked is what a client says.
type asked struct {
	Type   string `json:"type"`
	Group  string `json:"group"`
	From   string `json:"from"`
	Window int    `json:"window"`
	Seq    int64  `json:"seq"`
}

// socket is one connection.
type socket struct {
	hub     *Hub
	conn    *websocket.Conn
	reader  Reader
	group   string
	grouped bool // acks move a group's place
	window  int64
	after   int64 // sent up to here
	acked   int64
	text    []byte

	// What was heard and is not dealt with yet. Acks are for all before them, so one number is enough,
	// and whoever listens never waits: it also hears the answers to pings.
	mu    sync.Mutex
	heard asked
	rang  chan struct{} // capacity one
}

// ServeSocket upgrades the connection and speaks with the client until it leaves, may not read any more,
// or everything stops.
func (h *Hub) ServeSocket(w http.ResponseWriter, req *http.Request, r Reader) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	// Any page may connect: what it needs is a token, which no browser adds by itself.
	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // it was answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxAsked)
	ctx, cancel := context.WithCancel(context.WithoutCancel(req.Context()))
	defer cancel()
	s := &socket{hub: h, conn: conn, reader: r, rang: make(chan struct{}, 1)}
	s.serve(ctx, cancel)
}

// refuse tells the client why the connection ends.
func (s *socket) refuse(ctx context.Context, err error) {
	code, detail := string(hark.CodeOf(err)), "Something went wrong here; connect again."
	if e, ok := errors.AsType[*hark.Error](err); ok {
		detail = e.Detail
	}
	text, _ := json.Marshal(map[string]string{"type": "error", "code": code, "detail": detail}) // strings always work
	_ = s.write(ctx, text)
	_ = s.conn.Close(websocket.StatusPolicyViolation, code)
}

func (s *socket) serve(ctx context.Context, cancel func()) {
	first, stop := context.WithTimeout(ctx, subscribeIn)
	defer stop()
	in, err := s.read(first)
	if err == nil {
		err = s.subscribe(ctx, in)
	}
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	go func() {
		defer close(done)
		defer cancel()
		s.listen(ctx)
	}()
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		s.refuse(ctx, err)
	}
}

var errProtocol = hark.Errorf(hark.BadRequest, "say subscribe first, once, and then ack with the seq of a message")

func (s *socket) subscribe(ctx context.Context, in asked) (err error) {
	if in.Type != "subscribe" {
		return errProtocol
	}
	if in.Window < 0 || in.Window > maxWindow {
		return hark.Errorf(hark.BadRequest, "window must be 1 to %d", maxWindow)
	}
	s.window = int64(in.Window)
	if in.Window == 0 {
		s.window = defaultWindow
	}
	s.group, s.grouped = in.Group, in.Group != ""
	s.after = s.reader.After
	switch {
	case in.From != "":
		s.after, err = s.reader.Find(ctx, in.From)
	case s.grouped:
		s.after, err = s.reader.Place(ctx, s.group)
	}
	if err != nil {
		return err
	}
	s.acked = s.after
	text := fmt.Appendf(nil, `{"type":"subscribed","cursor":%q,"window":%d}`, Cursor(s.after), s.window)
	return s.write(ctx, text)
}

// read reads what the client says next.
func (s *socket) read(ctx context.Context) (in asked, err error) {
	_, text, err := s.conn.Read(ctx)
	if err != nil {
		return in, err
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return in, errProtocol
	}
	return in, nil
}

// listen notes what the client says until it has gone.
func (s *socket) listen(ctx context.Context) {
	for {
		in, err := s.read(ctx)
		if err != nil && !errors.Is(err, error(errProtocol)) {
			return
		}
		s.mu.Lock()
		if s.heard.Type == "" || s.heard.Type == in.Type {
			in.Seq = max(in.Seq, s.heard.Seq)
		}
		if s.heard.Type == "" || in.Type != "ack" {
			s.heard.Type = in.Type
			if in.Type == "" {
				s.heard.Type = "nonsense"
			}
		}
		s.heard.Seq = in.Seq
		s.mu.Unlock()
		select {
		case s.rang <- struct{}{}:
		default:
		}
	}
}

func (s *socket) takeHeard() asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.heard
	s.heard = asked{}
	return in
}

// run sends what the window has room for.
func (s *socket) run(ctx context.Context) error {
	t, leave := s.hub.join(s.reader.Consumer)
	defer leave()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	more := true
	news := s.hub.news(t)
	for {
		if room := s.window - (s.after - s.acked); more && room > 0 {
			news = s.hub.news(t)
			page, err := s.hub.readShared(ctx, t, s.reader.Consumer, s.after, int(min(room, pageItems)))
			if err != nil {
				return err
			}
			if err := s.send(ctx, page); err != nil {
				return err
			}
			more = page.More
		}
		ready := more && s.window > s.after-s.acked
		if err, ended := s.wait(ctx, ready, &more, news, beat); err != nil || ended {
			return err
		}
	}
}

// wait waits for something to do; with ready it only looks.
func (s *socket) wait(ctx context.Context, ready bool, more *bool, news <-chan struct{}, beat *time.Ticker) (err error, ended bool) {
	if *more {
		news = nil // it is known
	}
	var now chan struct{}
	if ready {
		now = make(chan struct{})
		close(now)
	}
	select {
	case <-s.rang:
		return s.ack(ctx, s.takeHeard()), false
	case <-beat.C:
		if err := s.reader.Check(ctx); err != nil {
			return err, true
		}
		ping, cancel := context.WithTimeout(ctx, heartbeat)
		defer cancel()
		return s.conn.Ping(ping), false
	case <-s.hub.ended:
		return s.conn.Close(websocket.StatusGoingAway, "the server stops; connect again"), true
	case <-ctx.Done():
		return nil, true
	case <-news:
		*more = true
	case <-now:
	}
	return nil, false
}

func (s *socket) ack(ctx context.Context, in asked) error {
	if in.Type == "" {
		return nil // two acks came before this was woken, and both were dealt with the time before
	}
	if in.Type != "ack" || in.Seq > s.after {
		return errProtocol
	}
	s.acked = max(s.acked, in.Seq)
	if s.grouped {
		if err := s.reader.Ack(ctx, s.group, s.acked); err != nil {
			return err
		}
	}
	return s.write(ctx, fmt.Appendf(nil, `{"type":"acked","seq":%d}`, s.acked))
}

func (s *socket) send(ctx context.Context, p Page) error {
	for _, item := range p.Items {
		b := s.text[:0]
		kind := "message"
		if item.Message == nil {
			kind = "gap"
		}
		b = append(b, `{"type":"`+kind+`","seq":`...)
		b = strconv.AppendInt(b, item.Seq, 10)
		b = append(b, `,"cursor":"`+Cursor(item.Seq)+`","`+kind+`":`...)
		if item.Message != nil {
			b = s.reader.Encode(b, item.Message)
		} else {
			b = appendGap(b, item)
		}
		s.text = append(b, '}')
		if err := s.write(ctx, s.text); err != nil {
			return err
		}
		s.after = item.Seq
	}
	if cap(s.text) > keptBytes {
		s.text = nil
	}
	return nil
}

func (s *socket) write(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, text)
}
