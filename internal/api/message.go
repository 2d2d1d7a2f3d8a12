package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// MessageOut is a message. Where its payload is read or published its JSON is written by append, so that the
// payload stays as it is stored: encoding/json would take its white space out.
type MessageOut struct {
	ID        hark.MessageID  `json:"id"`
	EventType string          `json:"eventType"`
	EventID   *string         `json:"eventId"`
	Payload   json.RawMessage `json:"payload" schema:"object" doc:"As it was published; {} without content, {\"expired\":true} when it is gone."`
	Channels  []string        `json:"channels" null:"1"`
	Tags      []string        `json:"tags" null:"1"`
	Timestamp time.Time       `json:"timestamp"`
	DeliverAt *time.Time      `json:"deliverAt"`
	Content
	// Endpoints is there when it was asked for.
	Endpoints []EndpointRef `json:"endpoints,omitempty" doc:"With with_endpoints=true: where it goes."`
}

// Content is what a message carries besides a payload, or in its place. Messages that were published as
// objects have none of it.
type Content struct {
	Body    *string     `json:"body,omitempty" doc:"What is delivered where that is no JSON object, as a source took it (a form, XML, a list), as text. The payload is {} then."`
	Base64  *string     `json:"bodyBase64,omitempty" doc:"The same where it is not text."`
	Request *InboundOut `json:"request,omitempty" doc:"Of a message that came in at a source: what brought it."`
}

// InboundOut is the request that a message was.
type InboundOut struct {
	ID       hark.RequestID `json:"id"`
	SourceID hark.SourceID  `json:"sourceId"`
	Method   string         `json:"method"`
	Path     string         `json:"path" doc:"Behind the source's URL."`
	Query    string         `json:"query"`
	Headers  http.Header    `json:"headers" doc:"As they came, without Authorization and Cookie unless the source passes them on."`
}

// contentOf is a message's content.
func contentOf(m *hark.Message) (c Content) {
	if m.Expunged {
		return c
	}
	if m.RawBody != nil {
		c.Body, c.Base64 = textOr64(m.RawBody)
	}
	if m.Head == nil {
		return c
	}
	if head, err := hark.DecodeHead(m.Head); err == nil {
		c.Request = &InboundOut{head.RequestID, head.SourceID, head.Method, head.Path, head.Query, head.Shown()}
	}
	return c
}

// textOr64 shows bytes as text, or in base64 if they are none.
func textOr64(b []byte) (text, base *string) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return nil, &s
}

// EndpointRef names an endpoint.
type EndpointRef struct {
	ID hark.EndpointID `json:"id"`
}

// Stand-ins for a payload that is not shown.
var (
	noPayload      = json.RawMessage("{}")
	expiredPayload = json.RawMessage(`{"expired":true}`)
)

// shownPayload is what stands for a message's payload in an answer.
func shownPayload(m *hark.Message, withContent bool) json.RawMessage {
	switch {
	case !withContent:
		return noPayload
	case m.Expunged:
		return expiredPayload
	case len(m.Payload) == 0:
		return noPayload
	}
	return m.Payload
}

func messageOut(m *hark.Message, withContent bool) MessageOut {
	out := MessageOut{
		ID: m.ID, EventType: m.EventType, EventID: orNull(m.EventID), Payload: shownPayload(m, withContent),
		Channels: m.Channels, Tags: m.Tags, Timestamp: wireTime(m.CreatedAt), DeliverAt: timeOrNull(m.DeliverAt),
	}
	if withContent {
		out.Content = contentOf(m)
	}
	return out
}

// EndpointMessageOut is a message as one endpoint saw it.
type EndpointMessageOut struct {
	MessageOut
	DeliveryOut
}

// DeliveryOut is what became of a message at an endpoint.
type DeliveryOut struct {
	Status      hark.AttemptStatus `json:"status" doc:"0 success, 1 pending, 2 fail, 3 sending, 4 canceled."`
	StatusText  string             `json:"statusText" enum:"success,pending,fail,sending,canceled"`
	NextAttempt *time.Time         `json:"nextAttempt"`
}

// deliveryOut shows a state. Clients that have not asked for all of the states know no canceled
// ones; to them nothing is left to do, which they call success.
func deliveryOut(status hark.AttemptStatus, next time.Time, expanded bool) DeliveryOut {
	if status == hark.Canceled && !expanded {
		status = hark.Succeeded
	}
	return DeliveryOut{Status: status, StatusText: status.String(), NextAttempt: timeOrNull(next)}
}

func listMessages(c *call) error {
	q := c.query()
	in := manage.MessageListIn{
		ListIn: q.page(), Before: q.moment("before"), After: q.moment("after"),
		EventTypes: q.list("event_types"), Channel: q.text("channel"), Tag: q.text("tag"),
		WithContent: q.flag("with_content", true),
	}
	if q.err != nil {
		return q.err
	}
	page, err := c.api.Manage.ListMessages(c.r.Context(), c.caller, c.path("app_id"), in)
	if err != nil {
		return err
	}
	c.encodeData(frameOf(page), len(page.Items), func(b []byte, i int) []byte {
		return appendRead(b, &page.Items[i], in.WithContent)
	})
	return nil
}

func getMessage(c *call) error {
	q := c.query()
	withContent := q.flag("with_content", true)
	if q.err != nil {
		return q.err
	}
	m, err := c.api.Manage.Message(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"), withContent)
	if err != nil {
		return err
	}
	c.out.Write(append(appendRead(c.out.AvailableBuffer(), &m, withContent), '\n'))
	return nil
}

func expungeMessage(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.ExpungeMessage(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"))
}

// MessagePrecheckIn describes a message that might be sent.
type MessagePrecheckIn struct {
	EventType string               `json:"eventType" req:"1"`
	Channels  manage.Opt[[]string] `json:"channels"`
}

// MessagePrecheckOut says whether anybody would get it.
type MessagePrecheckOut struct {
	Active bool `json:"active"`
}

func precheckMessage(c *call, in MessagePrecheckIn) (MessagePrecheckOut, error) {
	active, err := c.api.Manage.PrecheckMessage(c.r.Context(), c.caller, c.path("app_id"), manage.PrecheckIn(in))
	return MessagePrecheckOut{active}, err
}

// MessageBulkExpungeIn names messages by id or by your own id.
type MessageBulkExpungeIn struct {
	IDs []string `json:"ids"`
}

// MessageBulkExpungeOut says for each of them what was done.
type MessageBulkExpungeOut struct {
	Results map[string]string `json:"results" doc:"expunged or not-found, by the id that was given."`
}

func bulkExpunge(c *call, in MessageBulkExpungeIn) (MessageBulkExpungeOut, error) {
	results, err := c.api.Manage.BulkExpunge(c.r.Context(), c.caller, c.path("app_id"), in.IDs)
	return MessageBulkExpungeOut{orEmpty(results)}, err
}

func expungeAll(c *call, _ none) (TaskRef, error) {
	t, err := c.api.Manage.ExpungeAllContents(c.r.Context(), c.caller, c.path("app_id"))
	return taskRef(&t), err
}

// TraceOut says for every endpoint of the application why it got a message, or why it did not.
type TraceOut struct {
	Message   MessageOut         `json:"message"`
	Endpoints []TraceEndpointOut `json:"endpoints"`
}

// TraceEndpointOut is one endpoint's part in it.
type TraceEndpointOut struct {
	EndpointID  hark.EndpointID `json:"endpointId"`
	UID         *string         `json:"uid"`
	URL         string          `json:"url"`
	Disabled    bool            `json:"disabled"`
	Paused      bool            `json:"paused"`
	Matched     bool            `json:"matched" doc:"The message was sent there when it was accepted."`
	MatchesNow  bool            `json:"matchesNow" doc:"What the endpoint's filters of today say."`
	Clause      string          `json:"clause" doc:"The clause that decided."`
	Detail      string          `json:"detail"`
	DuplicateOf *string         `json:"duplicateOf" doc:"The message before it that the endpoint has in its place, by its deduplicate rule."`
	Delivery    *DeliveryOut    `json:"delivery" doc:"null when there is none."`
}

func traceMessage(c *call, _ none) (TraceOut, error) {
	trace, err := c.api.Manage.TraceMessage(c.r.Context(), c.caller, c.path("app_id"), c.path("msg_id"))
	out := TraceOut{Message: messageOut(&trace.Message, false), Endpoints: make([]TraceEndpointOut, len(trace.Endpoints))}
	for i := range trace.Endpoints {
		t := &trace.Endpoints[i]
		e := &out.Endpoints[i]
		*e = TraceEndpointOut{
			EndpointID: t.Endpoint.ID, UID: orNull(t.Endpoint.UID), URL: t.Endpoint.URL, Disabled: t.Endpoint.Disabled,
			Paused: t.Endpoint.Paused, Matched: t.Matched, MatchesNow: t.MatchesNow, Clause: t.Clause, Detail: t.Detail,
			DuplicateOf: orNull(string(t.DuplicateOf)),
		}
		if t.Delivered {
			d := deliveryOut(t.Status, t.NextAttempt, true)
			e.Delivery = &d
		}
	}
	return out, err
}

// appendRead writes the MessageOut of a message that is read.
func appendRead(b []byte, m *hark.Message, withContent bool) []byte {
	b = appendMessage(b, m, shownPayload(m, withContent))
	if !withContent {
		return b
	}
	return appendContent(b, contentOf(m))
}

// appendContent adds to a message that was written what it carries besides.
func appendContent(b []byte, content Content) []byte {
	if content == (Content{}) {
		return b
	}
	text, err := json.Marshal(content)
	if err != nil {
		panic(err) // texts always work
	}
	return append(append(b[:len(b)-1], ','), text[1:]...)
}

// appendMessage writes a MessageOut without reflection: it is the answer to every publish.
// MessageOut's encoding is the oracle that a test holds it to.
func appendMessage(b []byte, m *hark.Message, payload []byte) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, m.ID...)
	b = append(b, `","eventType":`...)
	b = appendString(b, m.EventType)
	b = append(b, `,"eventId":`...)
	if m.EventID == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, m.EventID)
	}
	b = append(b, `,"payload":`...)
	b = append(b, payload...)
	b = append(b, `,"channels":`...)
	b = appendStrings(b, m.Channels)
	b = append(b, `,"tags":`...)
	b = appendStrings(b, m.Tags)
	b = append(b, `,"timestamp":"`...)
	b = wireTime(m.CreatedAt).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","deliverAt":`...)
	if m.DeliverAt.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		b = wireTime(m.DeliverAt).AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	return append(b, '}')
}

func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	if !isPlain(s) {
		quoted, err := json.Marshal(s)
		if err != nil {
			panic(err) // no string fails
		}
		return append(b, quoted...)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func isPlain(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
}
