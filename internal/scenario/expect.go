package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
)

// maxShownBytes is how much of an answer a complaint shows.
const maxShownBytes = 300

// check says how an answer differs from what is expected. body is what is expected of it, filled in.
func (e *Expect) check(status int, answer []byte, body *any) error {
	ok := status/100 == 2
	if e.Status != nil {
		ok = slices.ContainsFunc(e.Status, func(r Range) bool { return r.From <= status && status <= r.To })
	}
	if !ok {
		return fmt.Errorf("%w: expected %s, got %d%s", ErrUnexpected, e.statuses(), status, shown(answer))
	}
	if body == nil {
		return nil
	}
	var got any = strings.TrimSpace(string(answer))
	if v, err := decode(answer); err == nil {
		got = v
	}
	if where, want, has := differs(*body, got, ""); where != "" {
		return fmt.Errorf("%w: expected %s of %s, got %s", ErrUnexpected, brief(want), where, has)
	}
	return nil
}

func (e *Expect) statuses() string {
	if e.Status == nil {
		return "2xx"
	}
	var list []string
	for _, r := range e.Status {
		switch {
		case r.From == r.To:
			list = append(list, fmt.Sprint(r.From))
		case r.To == r.From+99:
			list = append(list, fmt.Sprintf("%dxx", r.From/100))
		default:
			list = append(list, fmt.Sprintf("%d to %d", r.From, r.To))
		}
	}
	return strings.Join(list, " or ")
}

// differs finds where what there is lacks something that is wanted: objects may have more, lists not.
func differs(want, got any, at string) (where string, wanted any, has string) {
	place := at
	if place == "" {
		place = "the body"
	}
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return place, want, brief(got)
		}
		for _, name := range names(want) {
			inner := strings.TrimPrefix(at+"."+name, ".")
			v, ok := object[name]
			if !ok {
				return inner, want[name], "nothing"
			}
			if where, wanted, has := differs(want[name], v, inner); where != "" {
				return where, wanted, has
			}
		}
		return "", nil, ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return place, want, brief(got)
		}
		for i := range want {
			if where, wanted, has := differs(want[i], list[i], strings.TrimPrefix(fmt.Sprintf("%s.%d", at, i), ".")); where != "" {
				return where, wanted, has
			}
		}
		return "", nil, ""
	}
	if same(want, got) {
		return "", nil, ""
	}
	return place, want, brief(got)
}

// same compares what has no parts. Numbers are compared by value: 1 is 1.0.
func same(want, got any) bool {
	a, isNumber := want.(json.Number)
	b, isToo := got.(json.Number)
	if !isNumber || !isToo {
		switch got.(type) {
		case map[string]any, []any:
			return false
		}
		return want == got
	}
	if a == b {
		return true
	}
	if len(a)+len(b) > 100 { // an exponent of a million would cost
		return false
	}
	x, errX := parseFloat(a)
	y, errY := parseFloat(b)
	return errX == nil && errY == nil && x.Cmp(y) == 0
}

func parseFloat(n json.Number) (*big.Float, error) {
	f, _, err := big.ParseFloat(n.String(), 10, 256, big.ToNearestEven)
	return f, err
}

// decode reads one JSON value, with exact numbers.
func decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows")
	}
	return v, nil
}

// brief shows a value in a line.
func brief(v any) string {
	text, _ := json.Marshal(v) // it was JSON before
	return cut(string(text))
}

func shown(answer []byte) string {
	text := strings.TrimSpace(string(answer[:min(len(answer), 2*maxShownBytes)]))
	if text == "" {
		return ""
	}
	return ": " + cut(text)
}

func cut(text string) string {
	if len(text) <= maxShownBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxShownBytes], "") + "…"
}
