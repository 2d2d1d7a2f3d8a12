// Package tunnel lets somebody's own machine stand in for an endpoint: it reads a consumer's feed, sends
// finished requests down a WebSocket, signed and with the headers that an endpoint would get, and keeps what
// the machine's own server answered as attempts.
//
//	feed ─▶ Hub.Wait behind the group's place ─▶ build, sign ─▶ socket ─▶ the machine's own server
//	                      place moves ◀─ attempt kept ◀─ response ◀────────────┘
//
// It promises every message of the feed in order and at least once: the place moves when the answer has
// been kept, so what was not answered comes again, to whichever node the client comes back. Of the tunnels of
// one group one is open, the newest, on whichever node; the others stand by, and one of them goes on when it
// ends. At most a window of messages is out without an answer, and nothing of them is held here.
//
// It refuses to decide who may listen, and answers to what it has not sent.
package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
)

// Protocol is the subprotocol that both sides must name.
const Protocol = "hark-listen-v1"

// Store is the part of the store that tunnels need besides the feed.
type Store interface {
	Settle(ctx context.Context, settlements []store.Settlement) error
	Cursor(ctx context.Context, consumer hark.Ref, group string) (int64, error)
	MoveCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error
	SeekCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error
	FeedEnds(ctx context.Context, consumer hark.Ref) (first, last int64, err error)
}

// Options of a Hub.
type Options struct {
	Store   Store
	Streams *stream.Hub
	// HeaderPrefixes name the signature headers, as for endpoints.
	HeaderPrefixes []string
	Log            *slog.Logger
}

// Hub serves tunnels. They end when its Streams stop.
type Hub struct{ opt Options }

// New makes a Hub.
func New(opt Options) *Hub {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.HeaderPrefixes == nil {
		opt.HeaderPrefixes = directory.SignaturePrefixes()
	}
	return &Hub{opt: opt}
}

// Listener is who listens to what. The functions come from whoever has found out that it may.
type Listener struct {
	ApplicationRef hark.Ref
	ApplicationID  hark.ApplicationID
	ConsumerRef    hark.Ref
	ConsumerID     hark.EndpointID
	// Endpoint is the consumer as it is now, with its secrets; an error when it is gone, or may not be
	// listened to any more.
	Endpoint func(ctx context.Context) (*directory.Endpoint, error)
	// Check says, now and then, whether the token is still good.
	Check func(ctx context.Context) error
	// Find answers the place that a text names: a cursor, a time, start or end.
	Find func(ctx context.Context, from string) (int64, error)
	// Message finds a message of the application.
	Message func(ctx context.Context, id string) (hark.Message, error)
}

// Timing and bounds of a tunnel.
const (
	startIn       = 10 * time.Second
	pingEvery     = 4 * time.Second
	pongIn        = 10 * time.Second
	writeLimit    = time.Minute // for one message: a large one takes its time on a thin line
	defaultWindow = 16
	maxWindow     = 100
	maxLate       = 10 * maxWindow
	windowBytes   = 4 << 20 // of bodies that are out, beyond which nothing more is read
	maxHeard      = 96 << 10
	maxBody       = 20_000 // of an answer, as of an endpoint's
	maxError      = 500
	maxURL        = 2048
)

// Serve upgrades the connection and speaks with the client until it leaves, may not listen any more, or
// everything stops.
func (h *Hub) Serve(w http.ResponseWriter, req *http.Request, l Listener) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the server's are for requests, which are over at once
	_ = control.SetWriteDeadline(time.Time{})
	conn, err := websocket.Accept(w, req, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{Protocol}})
	if err != nil {
		return // it was answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(maxHeard)
	s := &session{hub: h, conn: conn, listener: l, moved: make(chan struct{}, 1), flight: map[int64]sent{}}
	s.serve(context.WithoutCancel(req.Context()))
}

// refuse tells the client why the connection ends.
func (s *session) refuse(ctx context.Context, err error) {
	if errors.Is(err, errGone) {
		return
	}
	if errors.Is(err, errEnds) {
		_ = s.conn.Close(websocket.StatusGoingAway, "the server stops; connect again")
		return
	}
	code, detail := string(hark.CodeOf(err)), "Something went wrong here; connect again."
	if e, ok := errors.AsType[*hark.Error](err); ok {
		detail = e.Detail
	} else {
		s.hub.opt.Log.LogAttrs(ctx, slog.LevelWarn, "tunnel", slog.String("endpoint", string(s.listener.ConsumerID)), slog.Any("err", err))
	}
	_ = s.say(ctx, frame{Type: "error", Code: code, Detail: detail})
	_ = s.conn.Close(websocket.StatusPolicyViolation, code)
}

// Ends of a tunnel that are nobody's fault.
var (
	errEnds = errors.New("the server stops")
	errGone = errors.New("the client has gone")
)
