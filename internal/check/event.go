package check

import (
	"bytes"
	"encoding/json"
	"net/http"
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
	for _, name := range headersOf(w.provider.ID) {
		header.Set(name, e.id)
	}
	for _, name := range headersOf(w.provider.Type) {
		header.Set(name, e.kind)
	}
	return webhook.Request{Method: http.MethodPost, URL: w.o.URL, Header: header, Body: w.body(e)}
}

// body is the event's JSON. A body of the user's own keeps all but its id and time; one that is no
// JSON object goes out as it is.
func (w *world) body(e event) []byte {
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
		if part != "" && !strings.HasPrefix(part, "$") {
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
