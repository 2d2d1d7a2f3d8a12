package stream

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/harkhq/hark"
)

// Reader is one stream: who reads which feed from where. The functions come from the face that serves it.
type Reader struct {
	Consumer hark.Ref
	After    int64
	// Encode appends a message's JSON.
	Encode func(dst []byte, m *hark.Message) []byte
	// Check says, now and then, whether the reader may still read.
	Check func(ctx context.Context) error
	// Place answers a group's place, 0 if it has none; Ack moves it. Only WebSockets call them.
	Place func(ctx context.Context, group string) (int64, error)
	Ack   func(ctx context.Context, group string, seq int64) error
	// Find answers the place that a text names: a cursor, a time, start or end.
	Find func(ctx context.Context, from string) (int64, error)
}

// Timing of streams.
const (
	heartbeat  = 15 * time.Second // so that what stands in between takes no stream for dead
	writeLimit = 30 * time.Second // for one page: a reader that takes less is cut off, and comes back
	retryAfter = 2000             // milliseconds after which a client comes back
	pageItems  = 64
)

// ServeEvents writes server-sent events until the client leaves, may not read any more, or everything
// stops. Each has its place as its id, so a client that comes back with Last-Event-ID goes on exactly
// behind it.
func (h *Hub) ServeEvents(w http.ResponseWriter, req *http.Request, r Reader) error {
	t, leave := h.join(r.Consumer)
	defer leave()
	s := &events{w: w, control: http.NewResponseController(w), reader: r}
	news := h.news(t)
	page, err := h.Read(req.Context(), r.Consumer, r.After, pageItems) // what is wrong is still an error
	if err != nil {
		return err
	}
	s.begin()
	s.page(page)
	if s.flush() != nil {
		return nil
	}
	h.follow(req.Context(), s, page, news, t)
	return nil
}

// follow goes on behind a page. Whatever ends it, the client knows where it was.
func (h *Hub) follow(ctx context.Context, s *events, page Page, news <-chan struct{}, t *topic) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if !page.More {
			select {
			case <-news:
			case <-beat.C:
				if s.reader.Check(ctx) != nil {
					return
				}
				s.out.WriteString(":\n\n")
				if s.flush() != nil {
					return
				}
				continue
			case <-h.ended:
				return
			case <-ctx.Done():
				return
			}
		}
		news = h.news(t)
		var read Page
		var err error
		if page.More { // far behind the others
			read, err = h.Read(ctx, s.reader.Consumer, page.Last, pageItems)
		} else {
			read, err = h.readShared(ctx, t, s.reader.Consumer, page.Last, pageItems)
		}
		if err != nil {
			return
		}
		page = read
		s.page(page)
		if s.flush() != nil {
			return
		}
		select { // also while there is always more
		case <-beat.C:
			if s.reader.Check(ctx) != nil {
				return
			}
		case <-h.ended:
			return
		default:
		}
	}
}

// begin answers that a stream comes.
func (s *events) begin() {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	_ = s.control.SetReadDeadline(time.Time{}) // the server's is for requests, which are over at once
	s.w.WriteHeader(http.StatusOK)
	s.out.WriteString("retry: " + strconv.Itoa(retryAfter) + "\n\n")
}

// events writes one stream.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	reader  Reader
	out     bytes.Buffer
	text    []byte
}

func (s *events) page(p Page) {
	for _, item := range p.Items {
		name := "gap"
		if item.Message != nil {
			name = item.Message.EventType
			s.text = s.reader.Encode(s.text[:0], item.Message)
		} else {
			s.text = appendGap(s.text[:0], item)
		}
		s.event(Cursor(item.Seq), name)
	}
}

// event writes what stands in text.
func (s *events) event(id, name string) {
	s.out.WriteString("id: " + id + "\nevent: " + name + "\ndata: ")
	s.data()
	s.out.WriteString("\n\n")
}

// data writes JSON. A payload may have lines, whose ends the client puts back as line feeds: in JSON
// they stand between tokens only.
func (s *events) data() {
	rest := s.text
	for {
		i := bytes.IndexAny(rest, "\r\n")
		if i < 0 {
			s.out.Write(rest)
			return
		}
		s.out.Write(rest[:i])
		s.out.WriteString("\ndata: ")
		if rest[i] == '\r' && i+1 < len(rest) && rest[i+1] == '\n' {
			i++
		}
		rest = rest[i+1:]
	}
}

// keptBytes is the largest buffer that an idle stream keeps.
const keptBytes = 4 << 10

func (s *events) flush() error {
	if s.out.Len() == 0 {
		return nil
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := s.w.Write(s.out.Bytes())
	if err == nil {
		err = s.control.Flush()
	}
	s.out.Reset()
	if s.out.Cap() > keptBytes {
		s.out = bytes.Buffer{}
	}
	if cap(s.text) > keptBytes {
		s.text = nil
	}
	return err
}

// appendGap appends what a gap says.
func appendGap(dst []byte, item Item) []byte {
	dst = append(dst, `{"from":`...)
	dst = strconv.AppendInt(dst, item.From, 10)
	dst = append(dst, `,"to":`...)
	dst = strconv.AppendInt(dst, item.Seq, 10)
	dst = append(dst, `,"missed":`...)
	dst = strconv.AppendInt(dst, item.Seq-item.From+1, 10)
	return append(dst, '}')
}
