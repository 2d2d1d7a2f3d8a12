package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// locator says where an event's id or type is: alternatives, each of terms that are joined by a dot.
//
//	X-GitHub-Event + $.action      issues.opened
//	Idempotency-Key | $.id         the first that is there
type locator [][]term

// term is one place: a header, a form field, or a path in a JSON body.
type term struct {
	header string
	form   string
	path   []step
}

func parseLocator(text string) (locator, error) {
	if text == "" {
		return nil, nil
	}
	var l locator
	for alternative := range strings.SplitSeq(text, " | ") {
		var terms []term
		for name := range strings.SplitSeq(alternative, " + ") {
			t, err := parseTerm(strings.TrimSpace(name))
			if err != nil {
				return nil, err
			}
			terms = append(terms, t)
		}
		l = append(l, terms)
	}
	return l, nil
}

func parseTerm(name string) (term, error) {
	if strings.HasPrefix(name, "$") {
		path, err := parsePath(name)
		return term{path: path}, err
	}
	if field, ok := strings.CutPrefix(name, "form:"); ok {
		return term{form: field}, nil
	}
	if name == "" || strings.ContainsAny(name, " |+") {
		return term{}, fmt.Errorf("%w: %q names neither a header nor a $.path", ErrProvider, name)
	}
	return term{header: canonical(name)}, nil
}

// read answers the first alternative whose first term is there. With one set, a value inside a
// list of several events counts as absent: it names one of them, not the request.
func (l locator) read(h http.Header, body []byte, one bool) (string, bool) {
	for _, terms := range l {
		var joined string
		for i, t := range terms {
			value, ok := t.read(h, body, one)
			if !ok && i == 0 {
				break
			}
			if ok && joined != "" {
				joined += "."
			}
			joined += value
		}
		if joined != "" {
			return joined, true
		}
	}
	return "", false
}

func (t term) read(h http.Header, body []byte, one bool) (string, bool) {
	var value string
	switch {
	case t.header != "":
		if v := h[t.header]; len(v) == 1 {
			value = v[0]
		}
	case t.form != "":
		if form, err := url.ParseQuery(string(body)); err == nil {
			value = form.Get(t.form)
		}
	default:
		var several bool
		if value, several = jsonValue(body, t.path); several && one {
			return "", false
		}
	}
	return value, presentable(value)
}

// signed says whether c covers every term that may be read.
func (l locator) signed(c checker) bool {
	for _, terms := range l {
		for _, t := range terms {
			if !c.covers(t) {
				return false
			}
		}
	}
	return len(l) > 0
}

// maxValue is the longest id or type, in bytes.
const maxValue = 256

func presentable(s string) bool {
	return s != "" && len(s) <= maxValue && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// step is one step of a path: into a member, into a list, or to the name of the first member that
// is no bookkeeping.
type step struct {
	key  string
	list bool
	name bool
}

// parsePath reads $.a.b, $[].id, $.events[].type, and $.* for the name of what happened where that
// is a member's name.
func parsePath(text string) ([]step, error) {
	rest := strings.TrimPrefix(text, "$")
	var path []step
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "[]"):
			path, rest = append(path, step{list: true}), rest[2:]
		case rest == ".*":
			path, rest = append(path, step{name: true}), ""
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if end == 1 {
				return nil, fmt.Errorf("%w: the path %q has an empty step", ErrProvider, text)
			}
			path, rest = append(path, step{key: rest[1:end]}), rest[end:]
		default:
			return nil, fmt.Errorf("%w: the path %q is not like $.data.id", ErrProvider, text)
		}
	}
	return path, nil
}

// jsonValue walks to a scalar in a JSON text and answers it as text, without parsing what it does
// not pass. In lists it takes the first element, and says when there are several. Of a text that
// is no JSON it may answer anything, so it is for texts whose signature was verified.
func jsonValue(text []byte, path []step) (value string, several bool) {
	w := walker{text: text}
	w.space()
	for _, s := range path {
		switch {
		case s.list:
			if !w.enter('[') {
				return "", false
			}
			ahead := w
			ahead.skip()
			ahead.space()
			several = several || ahead.peek() == ','
		case s.name:
			return w.firstName(), several
		default:
			if !w.member(s.key) {
				return "", false
			}
		}
	}
	return w.scalar(), several
}

// walker reads a JSON text from left to right. It never recurses and never goes back.
type walker struct {
	text []byte
	at   int
}

func (w *walker) peek() byte {
	if w.at < len(w.text) {
		return w.text[w.at]
	}
	return 0
}

func (w *walker) space() {
	for w.at < len(w.text) {
		switch w.text[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

func (w *walker) enter(open byte) bool {
	if w.peek() != open {
		return false
	}
	w.at++
	w.space()
	return true
}

// member goes to the value of a member of the object that begins here.
func (w *walker) member(key string) bool {
	if !w.enter('{') {
		return false
	}
	for w.peek() == '"' {
		raw := w.str()
		w.space()
		if !w.enter(':') {
			return false
		}
		if nameIs(raw, key) {
			return true
		}
		w.skip()
		w.space()
		if !w.enter(',') {
			return false
		}
	}
	return false
}

// bookkeeping are members beside the one whose name is the event.
var bookkeeping = map[string]bool{"update_id": true, "for_user_id": true, "user_has_blocked": true}

func (w *walker) firstName() string {
	if !w.enter('{') {
		return ""
	}
	for w.peek() == '"' {
		name := unquote(w.str())
		if !bookkeeping[name] {
			return name
		}
		w.space()
		if !w.enter(':') {
			return ""
		}
		w.skip()
		w.space()
		if !w.enter(',') {
			return ""
		}
	}
	return ""
}

func nameIs(raw []byte, key string) bool {
	if len(raw) == len(key)+2 && string(raw[1:len(raw)-1]) == key {
		return true
	}
	return bytes.IndexByte(raw, '\\') >= 0 && unquote(raw) == key
}

// str reads a string with its quotes.
func (w *walker) str() []byte {
	start := w.at
	for w.at++; ; {
		rest := w.text[min(w.at, len(w.text)):]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			w.at = len(w.text)
			return w.text[start:]
		}
		escape := bytes.IndexByte(rest[:end], '\\')
		if escape < 0 {
			w.at += end + 1
			return w.text[start:w.at]
		}
		w.at += escape + 2
	}
}

// skip passes one value.
func (w *walker) skip() {
	depth := 0
	for w.at < len(w.text) {
		switch w.text[w.at] {
		case '"':
			w.str()
		case '{', '[':
			depth++
			w.at++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
			w.at++
		case ',':
			if depth == 0 {
				return
			}
			w.at++
			continue
		case ':', ' ', '\t', '\r', '\n':
			w.at++
			continue
		default:
			w.atom()
		}
		if depth == 0 {
			return
		}
	}
}

// atom passes a number or a word.
func (w *walker) atom() []byte {
	start := w.at
	for w.at < len(w.text) && strings.IndexByte("{}[],:\" \t\r\n", w.text[w.at]) < 0 {
		w.at++
	}
	return w.text[start:w.at]
}

// scalar is the string, number or boolean that begins here, as text.
func (w *walker) scalar() string {
	switch w.peek() {
	case '"':
		return unquote(w.str())
	case '{', '[', 0:
		return ""
	}
	if atom := string(w.atom()); atom != "null" {
		return atom
	}
	return ""
}

func unquote(raw []byte) string {
	if len(raw) < 2 || raw[len(raw)-1] != '"' {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
