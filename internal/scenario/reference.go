package scenario

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reference is what stands between ${ and }.
type reference struct {
	variable string // of the environment
	made     string // what is made up on the spot
	step     string
	path     string // in what the step has come to; "" is all of it
	fallback *string
}

// made are the references to no step, by name; the Stripe CLI's names stand beside Hark's.
var made = map[string]func(now time.Time) any{
	"uuid":             func(time.Time) any { return uuid() },
	"generate-uuid":    func(time.Time) any { return uuid() },
	"now":              func(now time.Time) any { return now.UTC().Format(time.RFC3339) },
	"time-now-RFC3339": func(now time.Time) any { return now.UTC().Format(time.RFC3339) },
	"unix":             func(now time.Time) any { return json.Number(strconv.FormatInt(now.Unix(), 10)) },
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	variablePart = regexp.MustCompile(`^(?:\.env:|env[.:])(.*)$`)
	stepPart     = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*)(?:[.:](.+))?$`)
)

func parseReference(inner string) (reference, error) {
	what, fallback, has := strings.Cut(inner, "|")
	var r reference
	if has {
		r.fallback = &fallback
	}
	if m := variablePart.FindStringSubmatch(what); m != nil && variableName.MatchString(m[1]) {
		r.variable = m[1]
		return r, nil
	}
	if made[what] != nil && !has {
		r.made = what
		return r, nil
	}
	m := stepPart.FindStringSubmatch(what)
	if m == nil || made[m[1]] != nil || m[1] == "env" {
		return r, fmt.Errorf("${%s} is no reference: write ${step.path}, ${step.path|otherwise}, ${env.NAME}, ${uuid}, ${now} or ${unix}", inner)
	}
	r.step, r.path = m[1], m[2]
	return r, nil
}

// piece is a plain text or a reference.
type piece struct {
	text string
	ref  *reference
}

// pieces takes a text apart. $${ is a plain ${.
func pieces(text string) ([]piece, error) {
	var list []piece
	for text != "" {
		i := strings.Index(text, "${")
		if i < 0 {
			return append(list, piece{text: text}), nil
		}
		if i > 0 && text[i-1] == '$' {
			list = append(list, piece{text: text[:i-1] + "${"})
			text = text[i+2:]
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return nil, fmt.Errorf("a reference that begins with ${ does not end; a plain ${ is written $${")
		}
		r, err := parseReference(text[i+2 : i+end])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			list = append(list, piece{text: text[:i]})
		}
		list = append(list, piece{ref: &r})
		text = text[i+end+1:]
	}
	return list, nil
}

// eachReference calls f with every reference in a value, until one is wrong.
func eachReference(v any, f func(*reference) error) error {
	switch v := v.(type) {
	case string:
		list, err := pieces(v)
		if err != nil {
			return err
		}
		for _, p := range list {
			if p.ref == nil {
				continue
			}
			if err := f(p.ref); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range v {
			if err := eachReference(item, f); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range names(v) {
			if err := eachReference(v[name], f); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkReferences looks at every text in a value: references must be whole, and lead to a known step.
func checkReferences(n *yaml.Node, v any, known map[string]bool) error {
	err := eachReference(v, func(r *reference) error {
		if r.step != "" && !known[r.step] {
			return fmt.Errorf("there is no step named %q before it, which ${%s} refers to", r.step, r.step)
		}
		return nil
	})
	if err != nil {
		return wrong(n, "%w", err)
	}
	return nil
}

// checkVariables looks for variables that are not set.
func (f *filler) checkVariables(v any) error {
	return eachReference(v, func(r *reference) error {
		if r.variable == "" {
			return nil
		}
		_, err := f.lookup(r)
		return err
	})
}

// filler fills references in, for one step. It counts what that comes to.
type filler struct {
	now   time.Time
	env   func(string) (string, bool)
	known map[string]any // what steps have come to, by name
	bytes int
}

// fill fills a value. A text that is nothing but a reference becomes what it leads to.
func (f *filler) fill(v any) (any, error) {
	switch v := v.(type) {
	case string:
		list, err := pieces(v)
		if err != nil {
			return nil, err
		}
		if len(list) == 1 && list[0].ref != nil {
			got, err := f.lookup(list[0].ref)
			if err != nil {
				return nil, err
			}
			return got, f.count(len(plain(got)))
		}
		return f.join(list, nil)
	case []any:
		filled := make([]any, len(v))
		for i, item := range v {
			var err error
			if filled[i], err = f.fill(item); err != nil {
				return nil, err
			}
		}
		return filled, nil
	case map[string]any:
		filled := make(map[string]any, len(v))
		for _, name := range names(v) {
			var err error
			if filled[name], err = f.fill(v[name]); err != nil {
				return nil, err
			}
		}
		return filled, nil
	}
	return v, nil
}

// text fills a text.
func (f *filler) text(text string) (string, error) {
	list, err := pieces(text)
	if err != nil {
		return "", err
	}
	return f.join(list, nil)
}

// target fills a URL or a path. What steps have answered is escaped in it, so that it cannot lead
// elsewhere; unless the URL is nothing but that.
func (f *filler) target(text string) (string, error) {
	list, err := pieces(text)
	if err != nil {
		return "", err
	}
	if len(list) == 1 {
		return f.join(list, nil)
	}
	return f.join(list, func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") })
}

// join puts pieces together. escape, if any, is for what steps have answered.
func (f *filler) join(list []piece, escape func(string) string) (string, error) {
	var b strings.Builder
	for _, p := range list {
		text := p.text
		if p.ref != nil {
			got, err := f.lookup(p.ref)
			if err != nil {
				return "", err
			}
			if text = plain(got); p.ref.step != "" && escape != nil {
				text = escape(text)
			}
		}
		if err := f.count(len(text)); err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func (f *filler) count(n int) error {
	if f.bytes += n; f.bytes > maxValueBytes {
		return fmt.Errorf("%w: what it sends is larger than %d bytes", ErrReference, maxValueBytes)
	}
	return nil
}

func (f *filler) lookup(r *reference) (any, error) {
	switch {
	case r.made != "":
		return made[r.made](f.now), nil
	case r.variable != "":
		if v, ok := f.env(r.variable); ok {
			return v, nil
		}
		if r.fallback != nil {
			return *r.fallback, nil
		}
		return nil, fmt.Errorf("%w: the variable %s is not set", ErrReference, r.variable)
	}
	at, ok := f.known[r.step], true
	for part := range strings.SplitSeq(r.path, ".") {
		if r.path == "" {
			break
		}
		if at, ok = child(at, part); !ok {
			break
		}
	}
	if ok {
		return at, nil
	}
	if r.fallback != nil {
		return *r.fallback, nil
	}
	return nil, fmt.Errorf("%w: %s has nothing at %s", ErrReference, r.step, r.path)
}

// child is what a value has at a name or a number.
func child(v any, name string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		c, ok := v[name]
		return c, ok
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v) {
			return v[i], true
		}
	}
	return nil, false
}

// plain is a value as part of a text.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, _ := json.Marshal(v) // it was JSON before
	return string(text)
}

// names are the names of an object in order, so that a mistake is always the same one.
func names(object map[string]any) []string {
	list := make([]string, 0, len(object))
	for name := range object {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
