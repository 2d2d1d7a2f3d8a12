package match

import (
	"errors"
	"strconv"
	"strings"
)

// reference is a path from the payload's root: order.items[0].id, where [$index] is the place of
// the value that is being matched in the list around it: the first [$index] in the outermost list,
// the second in the next. Names with dots or brackets are written ["a.b"].
type reference struct {
	text  string
	steps []refStep
}

type refStep struct {
	name    string
	index   int  // when isIndex
	isIndex bool // the step goes into a list
	current int  // 1 for the first [$index], 2 for the second, …; 0: not one
}

var errReference = errors.New(`a reference is a path such as order.items[0].id, order.items[$index].id or ["a.b"]`)

func parseReference(text string) (reference, error) {
	ref := reference{text: text}
	rest := strings.TrimPrefix(text, "$.")
	currents := 0
	for rest != "" {
		if rest[0] != '[' {
			if rest[0] == '.' && len(ref.steps) > 0 {
				rest = rest[1:]
			}
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if end == 0 {
				return reference{}, errReference
			}
			ref.steps = append(ref.steps, refStep{name: rest[:end]})
			rest = rest[end:]
			continue
		}
		step, after, ok := parseBracket(rest[1:])
		if !ok {
			return reference{}, errReference
		}
		if step.current > 0 {
			currents++
			step.current = currents
		}
		ref.steps = append(ref.steps, step)
		rest = after
	}
	if len(ref.steps) == 0 {
		return reference{}, errReference
	}
	return ref, nil
}

// parseBracket reads what follows an opening bracket: 0], $index] or "name"].
func parseBracket(text string) (step refStep, rest string, ok bool) {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		name, err := strconv.Unquote(quoted)
		rest, ok = strings.CutPrefix(text[len(quoted):], "]")
		return refStep{name: name}, rest, ok && err == nil
	}
	inside, rest, ok := strings.Cut(text, "]")
	if !ok {
		return refStep{}, "", false
	}
	if inside == "$index" {
		return refStep{isIndex: true, current: 1}, rest, true
	}
	index, err := strconv.Atoi(inside)
	return refStep{isIndex: true, index: index}, rest, err == nil && index >= 0
}

// resolve finds the value; ok is false when there is none.
func (ref *reference) resolve(r *run) (v any, ok bool) {
	v = r.root
	for _, s := range ref.steps {
		if !s.isIndex {
			object, ok := v.(map[string]any)
			if !ok {
				return absent, false
			}
			if v, ok = object[s.name]; !ok {
				return absent, false
			}
			continue
		}
		index := s.index
		if s.current > len(r.indexes) {
			return absent, false
		} else if s.current > 0 {
			index = r.indexes[s.current-1]
		}
		elements, ok := v.([]any)
		if !ok || index >= len(elements) {
			return absent, false
		}
		v = elements[index]
	}
	return v, true
}

func (ref *reference) show(r *run) string {
	v, _ := ref.resolve(r)
	return show(v) + " (" + ref.text + ")"
}
