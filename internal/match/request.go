package match

import (
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harkhq/hark"
)

// Of prepares a message. Where it has no payload, the body is looked into: it may be JSON of another
// kind than an object.
func Of(m *hark.Message) *Subject {
	s := NewSubject(m.EventType, m.Channels, m.Payload)
	if m.Payload == nil {
		s.payload = m.RawBody
	}
	s.head = m.Head
	return s
}

// inbound is what $request looks at: the request that brought the message, as a JSON object would have
// it. It is absent for messages that were published.
//
//	{"source": "src_…", "method": "POST", "path": "/eu", "query": {"a": "1"}, "headers": {"x-github-event": "push"}, "body": …}
//
// Names of headers are in lower case. A header or parameter that comes several times is a list. The
// body is the JSON value, the fields of a form, or text; of anything else it is absent.
func (s *Subject) inbound() any {
	if s.requested {
		return s.request
	}
	s.requested, s.request = true, absent
	if s.head == nil {
		return absent
	}
	head, err := hark.DecodeHead(s.head)
	if err != nil {
		return absent
	}
	headers := make(map[string]any, len(head.Header))
	for _, f := range head.Header {
		addValue(headers, strings.ToLower(f.Name), f.Value)
	}
	request := map[string]any{"source": string(head.SourceID), "method": head.Method, "path": head.Path, "query": formValues(head.Query), "headers": headers}
	if body := s.body(head.Get("Content-Type")); body != absent {
		request["body"] = body
	}
	s.request = request
	return request
}

func (s *Subject) body(contentType string) any {
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && kind == "application/x-www-form-urlencoded" {
		return formValues(string(s.payload))
	}
	if doc := s.document(); doc != absent {
		return doc
	}
	if utf8.Valid(s.payload) {
		return string(s.payload)
	}
	return absent
}

// formValues are the parameters of a query or form, as far as they can be read.
func formValues(text string) map[string]any {
	form, _ := url.ParseQuery(text) // what is malformed is left out
	values := make(map[string]any, len(form))
	for name, list := range form {
		for _, v := range list {
			addValue(values, name, v)
		}
	}
	return values
}

func addValue(values map[string]any, name, value string) {
	switch before := values[name].(type) {
	case nil:
		values[name] = value
	case []any:
		values[name] = append(slices.Clip(before), value)
	default:
		values[name] = []any{before, value}
	}
}

// request is $request: a filter on the request that brought the message.
type request struct{ want node }

func (n request) match(r *run, _ any) bool {
	v := r.subject.inbound()
	return r.step(v) && n.want.match(r, v)
}

func (n request) why(r *run, _ string, _ any) string {
	v := r.subject.inbound()
	if v == absent {
		return "$request: the message was published, so there is no request"
	}
	return n.want.why(r, "request", v)
}
