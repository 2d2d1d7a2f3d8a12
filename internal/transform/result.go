package transform

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// wireResult is what prelude.js says came out, but for the payload. Only what changed is there. The script
// could have made it say anything, so nothing in it is taken on trust.
type wireResult struct {
	Canceled  bool    `json:"canceled"`
	EventType *string `json:"eventType"`
	Method    *string `json:"method"`
	URL       *string `json:"url"`
	Path      *string `json:"path"`
	Query     *string `json:"query"`
	// Parameters is the query when the script changed it as an object.
	Parameters map[string][]string `json:"parameters"`
	Headers    struct {
		Set  map[string]string `json:"set"`
		Gone []string          `json:"gone"`
	} `json:"headers"`
}

// read fills what came out of a call into the output.
func (o *Output) read(in Message, c *call) error {
	var r wireResult
	decoder := json.NewDecoder(bytes.NewReader(c.result))
	if err := decoder.Decode(&r); err != nil {
		return errorf(BadResult, "The handler returned something that is no message.")
	}
	o.Message = in
	if r.Canceled {
		o.Canceled = true
		return nil
	}
	if err := o.readAddress(&r); err != nil {
		return err
	}
	if err := o.readHeaders(&r); err != nil {
		return err
	}
	if !c.written {
		return nil
	}
	payload, err := keepDigits(in.Payload, c.payload)
	if err != nil {
		return err
	}
	o.Payload, o.Changed.Payload = payload, !bytes.Equal(payload, in.Payload)
	return nil
}

// methods are those that carry a body, and DELETE.
var methods = []string{"POST", "PUT", "PATCH", "DELETE"}

func (o *Output) readAddress(r *wireResult) error {
	if r.Method != nil && !slices.Contains(methods, *r.Method) {
		return errorf(BadResult, "method must be POST, PUT, PATCH or DELETE, it is %.40q.", *r.Method)
	}
	if r.URL != nil {
		const most = 64 << 10
		u, err := url.Parse(*r.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(*r.URL) > most {
			return errorf(BadResult, "url must be an address that begins with https:// or http://, it is %.200q.", *r.URL)
		}
	}
	if r.EventType != nil && (*r.EventType == "" || len(*r.EventType) > 256) {
		return errorf(BadResult, "eventType must have 1 to 256 characters, it has %d.", len(*r.EventType))
	}
	if r.Path != nil && (!strings.HasPrefix(*r.Path, "/") || strings.ContainsFunc(*r.Path, unfit)) {
		return errorf(BadResult, "path must begin with / and be encoded, it is %.200q.", *r.Path)
	}
	if r.Query != nil {
		*r.Query = strings.TrimPrefix(*r.Query, "?")
		if strings.ContainsFunc(*r.Query, unfit) {
			return errorf(BadResult, "query must be encoded, it is %.200q.", *r.Query)
		}
	} else if r.Parameters != nil {
		encoded := url.Values(r.Parameters).Encode()
		r.Query = &encoded
	}
	set := func(field *string, value *string, changed *bool) {
		if value != nil && *value != *field {
			*field, *changed = *value, true
		}
	}
	set(&o.EventType, r.EventType, &o.Changed.EventType)
	set(&o.Method, r.Method, &o.Changed.Method)
	set(&o.URL, r.URL, &o.Changed.URL)
	set(&o.Path, r.Path, &o.Changed.Path)
	set(&o.Query, r.Query, &o.Changed.Query)
	return nil
}

// unfit is what must be encoded wherever it stands in an address.
func unfit(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }

// readHeaders changes the headers. A name that differs from another only in case replaces it.
func (o *Output) readHeaders(r *wireResult) error {
	const most, long = 100, 8 << 10
	if len(r.Headers.Set) == 0 && len(r.Headers.Gone) == 0 {
		return nil
	}
	headers := maps.Clone(o.Headers)
	if headers == nil {
		headers = map[string]string{}
	}
	for _, name := range r.Headers.Gone {
		delete(headers, name)
	}
	for name, value := range r.Headers.Set {
		if name == "" || strings.ContainsFunc(name, notToken) || len(name) > 256 {
			return errorf(BadResult, "%.100q cannot be the name of a header.", name)
		}
		if len(value) > long || strings.ContainsFunc(value, notValue) {
			return errorf(BadResult, "The header %s has a value that no header can have, or that is longer than %s.", name, size(long))
		}
		maps.DeleteFunc(headers, func(other, _ string) bool { return strings.EqualFold(other, name) })
		headers[name] = value
	}
	if len(headers) > most {
		return errorf(BadResult, "There are %d headers; at most %d are allowed.", len(headers), most)
	}
	o.Changed.Headers = !maps.Equal(headers, o.Headers)
	o.Headers = headers
	return nil
}

func notToken(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func notValue(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f }

// parseQuery is what Hookdeck's dialect shows as parsed_query: a text, or a list for a name that is there
// more than once.
func parseQuery(query string) map[string]any {
	values, _ := url.ParseQuery(query) // what cannot be read is not shown; query has it all
	parsed := map[string]any{}
	for name, v := range values {
		if len(v) == 1 {
			parsed[name] = v[0]
		} else {
			parsed[name] = v
		}
	}
	return parsed
}
