package tunnel

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/stream"
)

// A tunnel speaks JSON, one object a message:
//
//	client                                            server
//	{"type":"start","group":"g","from":"at_…",        {"type":"ready","cursor":"at_…","window":16,"behind":3}
//	 "window":16,"url":"http://localhost:3000/"}      {"type":"message","seq":7,"cursor":"at_7","id":"msg_…",
//	{"type":"response","seq":7,"status":200,           "eventType":"…","timestamp":"…","method":"PUT","path":"/x?y",
//	 "headers":[["Name","value"],…],                   "headers":[["Name","value"],…],"body":"base64"}
//	 "body":"base64","durationMs":12,"error":"",      {"type":"gap","seq":9,"cursor":"at_9","from":8}
//	 "url":"http://localhost:3000/x?y"}               {"type":"acked","seq":7,"attempt":"atmpt_…"}
//	{"type":"ack","seq":9}                            {"type":"recorded","id":"msg_…","attempt":"atmpt_…"}
//	{"type":"attempt","id":"msg_…","status":200,…}    {"type":"standby"}
//	                                                  {"type":"error","code":"…","detail":"…"}
//
// The client says start once, first. Without a group it keeps its place itself, and begins where it says. A
// response is kept as an attempt, and an ack as none; both say that everything up to their number is dealt with.
// attempt tells of another try of an earlier message. url is where it went, if not to that of the start. After
// standby nothing comes until the server says ready again, and with it where it goes on: the client forgets
// what it has not begun. behind is how many wait. method and path, with the query, are those by which a message
// came to its source; without a path it was published, or came to the source's own URL. A header's value that is
// no UTF-8 is base64, which a third element says.

// heard is what a client says.
type heard struct {
	Type       string     `json:"type"`
	Group      string     `json:"group"`
	From       string     `json:"from"`
	Window     int        `json:"window"`
	URL        string     `json:"url"`
	Seq        int64      `json:"seq"`
	ID         string     `json:"id"`
	Status     int        `json:"status"`
	Headers    [][]string `json:"headers"`
	Body       []byte     `json:"body"`
	DurationMs float64    `json:"durationMs"`
	Error      string     `json:"error"`
}

// frame is what the server says.
type frame struct {
	Type      string     `json:"type"`
	Window    int        `json:"window,omitempty"`
	Behind    int64      `json:"behind,omitempty"`
	Seq       int64      `json:"seq,omitempty"`
	Cursor    string     `json:"cursor,omitempty"`
	From      int64      `json:"from,omitempty"`
	ID        string     `json:"id,omitempty"`
	EventType string     `json:"eventType,omitempty"`
	Attempt   string     `json:"attempt,omitempty"`
	Timestamp *time.Time `json:"timestamp,omitempty"`
	Method    string     `json:"method,omitempty"`
	Path      string     `json:"path,omitempty"`
	Headers   [][]string `json:"headers,omitempty"`
	Body      []byte     `json:"body,omitempty"`
	Code      string     `json:"code,omitempty"`
	Detail    string     `json:"detail,omitempty"`
}

var errHeaders = hark.Errorf(hark.BadRequest, "headers must be pairs of a name and a value")

var errProtocol = hark.Errorf(hark.BadRequest, "say start first, once, and then response or ack with the seq of a message that was sent")

// messageFrame is a message as it goes down the tunnel.
func messageFrame(item *stream.Item, header []outbound.Field) frame {
	m := item.Message
	f := frame{
		Type: "message", Seq: item.Seq, Cursor: stream.Cursor(item.Seq), ID: string(m.ID), EventType: m.EventType,
		Timestamp: &m.CreatedAt, Method: "POST", Body: m.Body(), Headers: make([][]string, len(header)),
	}
	if head, err := hark.DecodeHead(m.Head); err == nil {
		f.Method, f.Path = cmp.Or(head.Method, f.Method), escaped(head.PathQuery())
	}
	for i, h := range header {
		f.Headers[i] = hark.HeadField(h).Pair()
	}
	return f
}

// escaped is a path with its query, in which bytes that are no UTF-8, which JSON cannot say, are escaped as URLs
// escape them.
func escaped(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	var b strings.Builder
	for len(path) > 0 {
		r, size := utf8.DecodeRuneInString(path)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", path[0])
		} else {
			b.WriteString(path[:size])
		}
		path = path[size:]
	}
	return b.String()
}

// maxGroup leaves room for what a group's turn is kept under.
const maxGroup = 100

// check says what is wrong with a start.
func (in *heard) check() error {
	if in.Type != "start" {
		return errProtocol
	}
	if len(in.Group) > maxGroup || strings.ContainsFunc(in.Group, unicode.IsControl) {
		return hark.Errorf(hark.BadRequest, "group must have at most %d characters, and no control characters", maxGroup)
	}
	if in.Group == "" && in.From == "" {
		return hark.Errorf(hark.BadRequest, "without a group, say from where")
	}
	if in.Window < 0 || in.Window > maxWindow {
		return hark.Errorf(hark.BadRequest, "window must be 1 to %d", maxWindow)
	}
	if in.Window == 0 {
		in.Window = defaultWindow
	}
	if in.URL == "" {
		return nil
	}
	if in.URL = cleanURL(in.URL); in.URL == "" {
		return hark.Errorf(hark.BadRequest, "url must be the http or https address that messages are forwarded to")
	}
	return nil
}

// cleanURL is a URL without what nobody else may read; "" if it is none.
func cleanURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	u.User, u.Fragment = nil, ""
	return u.String()
}

// header is the response's, as it is kept.
func (in *heard) header() ([]hark.HeadField, error) {
	fields := make([]hark.HeadField, len(in.Headers))
	for i, h := range in.Headers {
		f, ok := hark.FieldOf(h)
		if !ok || f.Name == "" {
			return nil, errHeaders
		}
		fields[i] = f
	}
	return hark.KeepHeader(fields), nil
}

// attempt is what a client tells of one exchange; the server's clock says when it was.
func (in *heard) attempt(now time.Time, trigger hark.Trigger) (*hark.Attempt, error) {
	if in.Status != 0 && (in.Status < 100 || in.Status > 999) || in.Status == 0 && in.Error == "" {
		return nil, hark.Errorf(hark.BadRequest, "status must be an HTTP status, or error say why there is none")
	}
	header, err := in.header()
	if err != nil {
		return nil, err
	}
	took := time.Duration(min(max(in.DurationMs, 0), float64(time.Hour/time.Millisecond)) * float64(time.Millisecond))
	a := &hark.Attempt{
		ID: hark.NewAttemptID(now), URL: cleanURL(in.URL), Number: 1, Trigger: trigger, Status: hark.Failed, StatusCode: in.Status,
		Response: in.Body[:min(len(in.Body), maxBody)], ResponseHeader: header, Error: strings.ToValidUTF8(in.Error[:min(len(in.Error), maxError)], ""),
		StartedAt: now.Add(-took), Duration: took,
	}
	if in.Status >= 200 && in.Status < 300 && in.Error == "" {
		a.Status = hark.Succeeded
	}
	return a, nil
}
