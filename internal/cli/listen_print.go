package cli

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/listen"
)

// listenPrinter writes what a listener tells: lines for people, or a record a line for scripts. It is told
// one thing after the other.
type listenPrinter struct {
	sh     *shell
	bodies bool // print them: nobody else gets them
}

const lineTime = "2006-01-02 15:04:05"

// text writes lines in the manner of Stripe's CLI.
func (p *listenPrinter) text(e listen.Event) {
	sh := p.sh
	switch e := e.(type) {
	case listen.Ready:
		if e.Again {
			sh.note("%s  Connected again.", e.At.Format(lineTime))
			return
		}
		sh.say("Ready! Your webhook signing secret is '%s' (^C to quit)", printable(e.Session.Secret))
		if e.Session.URL != "" {
			sh.say("Send webhooks to %s", printable(e.Session.URL))
		}
		if e.ForwardTo != "" {
			sh.say("They go to %s", e.ForwardTo)
		}
		if e.Behind > 0 {
			sh.note("%s waited (--live skips what waits)", messages(e.Behind))
		}
	case listen.Message:
		sh.say("%s   --> %s [%s]", sh.paint(dim, e.At.Format(lineTime)), sh.paint(bold, printable(e.EventType)), printable(string(e.ID)))
		if p.bodies {
			sh.say("%s", printable(string(e.Body)))
		}
	case listen.Response:
		p.response(&e)
	case listen.Waiting:
		if e.CutOff {
			sh.note("%s  %s went away without an answer: %s is sent once more.", e.At.Format(lineTime), localURL(e.URL), printable(string(e.Message.ID)))
			return
		}
		sh.note("%s  Nothing listens at %s (%v): %s waits. Start your server, and it goes on.", e.At.Format(lineTime), localURL(e.URL), e.Err, printable(string(e.Message.ID)))
	case listen.Reconnecting:
		sh.note("%s  Reconnecting: %s", e.At.Format(lineTime), printable(e.Err.Error())) // the server may have said it
	case listen.Standby:
		sh.note("%s  Another listener of this machine to the same has taken over; standing by (try: --fan-out, to get every message in each)", e.At.Format(lineTime))
	case listen.Gap:
		sh.note("%s  Messages %d to %d expired, or were deleted, before they came.", e.At.Format(lineTime), e.From, e.To)
	}
}

func (p *listenPrinter) response(r *listen.Response) {
	sh := p.sh
	how, colour := fmt.Sprint(r.Status), red
	switch {
	case r.Err != "":
		how = "ERROR"
	case r.OK():
		colour = green
	case r.Status < 400:
		colour = yellow
	}
	sh.say("%s  <--  [%s] %s %s [%s] (%s)", sh.paint(dim, r.At.Format(lineTime)), sh.paint(colour, how), r.Method, printable(r.URL), printable(string(r.Message.ID)), r.Took.Round(100*time.Microsecond))
	if r.Err != "" {
		sh.note("%s", printable(r.Err))
	}
}

// listenRecord is one line of --format json. Which fields it has follows from its type.
type listenRecord struct {
	Type        string     `json:"type"` // ready, message, response, waiting, reconnecting, standby, gap
	Time        time.Time  `json:"time"`
	Application string     `json:"applicationId,omitempty"`
	Consumer    string     `json:"consumerId,omitempty"`
	Secret      string     `json:"secret,omitempty"`
	URL         string     `json:"url,omitempty"` // ready: to send to; response, waiting: the local one
	ForwardTo   string     `json:"forwardTo,omitempty"`
	Behind      int64      `json:"behind,omitempty"` // how many messages wait
	Again       bool       `json:"again,omitempty"`
	Seq         int64      `json:"seq,omitempty"`
	ID          string     `json:"id,omitempty"`
	EventType   string     `json:"eventType,omitempty"`
	Timestamp   *time.Time `json:"timestamp,omitempty"`
	Method      string     `json:"method,omitempty"` // by which the message came; response: by which it went
	Path        string     `json:"path,omitempty"`
	Headers     [][]string `json:"headers,omitempty"` // as hark.HeadField.Pair has them
	Body        *string    `json:"body,omitempty"`
	BodyBase64  []byte     `json:"bodyBase64,omitempty"` // in place of body where that is no text
	OK          *bool      `json:"ok,omitempty"`
	Status      *int       `json:"status,omitempty"` // 0: no answer
	DurationMs  *float64   `json:"durationMs,omitempty"`
	Error       string     `json:"error,omitempty"`
	Retry       bool       `json:"retry,omitempty"`
	Edited      bool       `json:"edited,omitempty"`
	Reason      string     `json:"reason,omitempty"`
	From        int64      `json:"from,omitempty"`
	To          int64      `json:"to,omitempty"`
}

// record writes a record.
func (p *listenPrinter) record(e listen.Event) {
	enc := json.NewEncoder(p.sh.stdout)
	enc.SetEscapeHTML(false) // so that what is in a URL can be found
	if err := enc.Encode(recordOf(e)); err != nil {
		p.sh.note("hark: %v", err)
	}
}

func recordOf(e listen.Event) (r listenRecord) {
	switch e := e.(type) {
	case listen.Ready:
		s := e.Session
		r = listenRecord{Type: "ready", Time: e.At, Application: string(s.ApplicationID), Consumer: string(s.ConsumerID), Secret: s.Secret, URL: s.URL, ForwardTo: e.ForwardTo, Behind: e.Behind, Again: e.Again}
	case listen.Message:
		r = listenRecord{Type: "message", Time: e.At, Seq: e.Seq, ID: string(e.ID), EventType: e.EventType, Timestamp: &e.CreatedAt, Method: e.Method, Path: e.Path}
		r.setHeaders(e.Header)
		r.setBody(e.Body)
	case listen.Response:
		ok, ms := e.OK(), float64(e.Took.Microseconds())/1000
		r = listenRecord{Type: "response", Time: e.At, Seq: e.Message.Seq, ID: string(e.Message.ID), EventType: e.Message.EventType, Method: e.Method, URL: e.URL,
			OK: &ok, Status: &e.Status, DurationMs: &ms, Error: e.Err, Retry: e.Retry, Edited: e.Edited}
		if e.Status != 0 {
			var head hark.Head
			head.SetHeader(e.Header)
			r.setHeaders(head.Header)
			r.setBody(e.Body)
		}
	case listen.Waiting:
		r = listenRecord{Type: "waiting", Time: e.At, Seq: e.Message.Seq, ID: string(e.Message.ID), EventType: e.Message.EventType, URL: e.URL, Reason: e.Err.Error()}
	case listen.Reconnecting:
		r = listenRecord{Type: "reconnecting", Time: e.At, Reason: e.Err.Error()}
	case listen.Standby:
		r = listenRecord{Type: "standby", Time: e.At}
	case listen.Gap:
		r = listenRecord{Type: "gap", Time: e.At, From: e.From, To: e.To}
	}
	r.Time = r.Time.UTC().Truncate(time.Millisecond)
	return r
}

// setHeaders shows a header byte for byte.
func (r *listenRecord) setHeaders(header []hark.HeadField) {
	for _, f := range header {
		r.Headers = append(r.Headers, f.Pair())
	}
}

// setBody shows text as text.
func (r *listenRecord) setBody(body []byte) {
	if utf8.Valid(body) {
		text := string(body)
		r.Body = &text
		return
	}
	r.BodyBase64 = body
}
