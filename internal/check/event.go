package check

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/harkhq/hark/webhook"
)

// event is a delivery before it is signed.
type event struct {
	id      string
	kind    string
	created time.Time
	padding int
}

// event makes a fresh one.
func (w *world) event() event { return event{id: freshID(), kind: w.o.Event, created: w.o.Now()} }

// request is the event as the provider would write it down, unsigned.
func (w *world) request(e event) webhook.Request {
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"hark-check"}}
	if w.isForm() {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if w.o.Provider == "plivo-v3" { // it signs a number used once
		header.Set("X-Plivo-Signature-V3-Nonce", e.id)
	}
	for _, name := range headersOf(w.provider.ID) {
		header.Set(name, e.id)
	}
	for _, name := range headersOf(w.provider.Type) {
		header.Set(name, e.kind)
	}
	return webhook.Request{Method: http.MethodPost, URL: w.o.URL, Header: header, Body: w.body(e)}
}

// isForm says whether the provider sends forms: then its id or its type is a field of one.
func (w *world) isForm() bool {
	return strings.Contains(w.provider.ID+w.provider.Type, formField)
}

const formField = "form:"

// form is the event as a form. One of the user's own keeps all but its id.
func (w *world) form(e event) []byte {
	fields := url.Values{"From": {"+15005550006"}, "To": {"+15005550001"}, "Body": {"Is this receiver sound?"}}
	if w.o.Body != nil {
		own, err := url.ParseQuery(strings.TrimSpace(string(w.o.Body)))
		if err != nil {
			return w.o.Body
		}
		fields = own
	}
	if name := fieldOf(w.provider.ID); name != "" {
		fields.Set(name, e.id)
	} else if w.o.Provider == "twilio" { // its id is a header, and this one is what receivers look at
		fields.Set("MessageSid", "SM"+strings.TrimPrefix(e.id, "msg_check"))
	}
	if name := fieldOf(w.provider.Type); name != "" && (w.o.Body == nil || e.kind != w.o.Event) {
		fields.Set(name, e.kind)
	}
	if e.padding > 0 {
		fields.Set("Padding", strings.Repeat("hark", e.padding/4))
	}
	return []byte(fields.Encode())
}

// fieldOf is the name of the form's field in a provider's ID or Type: the first alternative; "" if there is none.
func fieldOf(where string) string {
	first, _, _ := strings.Cut(where, " | ")
	name, _ := strings.CutPrefix(first, formField)
	if name == first {
		return ""
	}
	return name
}

// body is the event's JSON, or its form. A body of the user's own keeps all but its id and time; one that
// is no JSON object goes out as it is.
func (w *world) body(e event) []byte {
	if w.isForm() {
		return w.form(e)
	}
	var object map[string]any
	if w.o.Body == nil {
		object = map[string]any{"created": e.created.Unix(), "data": map[string]any{"check": "is this receiver sound"}}
		setPath(object, "id", e.id, true)
		setPath(object, "type", e.kind, true)
		setPath(object, pathOf(w.provider.Type), e.kind, true)
	} else {
		decoder := json.NewDecoder(bytes.NewReader(w.o.Body))
		decoder.UseNumber()
		if decoder.Decode(&object) != nil || object == nil {
			return w.o.Body
		}
		setPath(object, "id", e.id, false)
		if e.kind != w.o.Event {
			setPath(object, "type", e.kind, false)
			setPath(object, pathOf(w.provider.Type), e.kind, false)
		}
	}
	setPath(object, pathOf(w.provider.ID), e.id, w.o.Body == nil)
	if w.o.Provider == "linear" { // its timestamp is a field
		object["webhookTimestamp"] = e.created.UnixMilli()
	}
	if e.padding > 0 {
		object["padding"] = strings.Repeat("hark", e.padding/4)
	}
	return encode(object, "")
}

// encode writes JSON without the escapes that HTML would need.
func encode(v any, indent string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if enc.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// headersOf are the headers in a provider's ID or Type: the first alternative, if it is one.
func headersOf(where string) []string {
	first, _, _ := strings.Cut(where, " | ")
	var names []string
	for part := range strings.SplitSeq(first, " + ") {
		if part != "" && !strings.HasPrefix(part, "$") && !strings.HasPrefix(part, formField) {
			names = append(names, part)
		}
	}
	return names
}

// pathOf is the path into the body, with dots, of a provider's ID or Type; "" if it is not that simple.
func pathOf(where string) string {
	for part := range strings.SplitSeq(where, " | ") {
		if strings.HasPrefix(part, "$.") && !strings.ContainsAny(part, "[]+* ") {
			return part[len("$."):]
		}
	}
	return ""
}

// setPath sets a string in an object; where there is none, only if mayMake.
func setPath(object map[string]any, path, value string, mayMake bool) {
	if path == "" {
		return
	}
	name, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		if _, isText := object[name].(string); isText || mayMake {
			object[name] = value
		}
		return
	}
	inner, ok := object[name].(map[string]any)
	if !ok {
		if !mayMake {
			return
		}
		inner = map[string]any{}
		object[name] = inner
	}
	setPath(inner, rest, value, mayMake)
}

// altered is the body with one byte changed, as JSON still if it was.
func altered(body []byte) []byte {
	isJSON := json.Valid(body)
	var found []byte
	for i := len(body) - 1; i >= 0; i-- {
		if !isAlphanumeric(body[i]) {
			continue
		}
		changed := bytes.Clone(body)
		changed[i] = next(body[i])
		if !isJSON || json.Valid(changed) {
			return changed
		}
		found = changed
	}
	if found == nil {
		return append(bytes.Clone(body), 'x')
	}
	return found
}

// respaced is the same JSON in other bytes; nil if the body is no JSON object.
func respaced(body []byte) []byte {
	var out bytes.Buffer
	if len(body) == 0 || body[0] != '{' || json.Indent(&out, body, "", "  ") != nil {
		return nil
	}
	return out.Bytes()
}
