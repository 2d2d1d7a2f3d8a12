package match

import (
	"encoding/json"
	"slices"
	"strings"
)

// A filter is a tree of nodes. Each looks at one value of the payload: nil, bool, json.Number,
// string, []any, map[string]any, or absent where there is none.
type node interface {
	match(r *run, v any) bool
	// why says, of a value that does not match, what was wanted and what was found at path.
	why(r *run, path string, v any) string
}

type missing struct{}

// absent is the value of a key that is not there.
var absent any = missing{}

// maxSteps bounds the work of one filter on one payload, to some tens of milliseconds: a filter of
// a thousand nodes over a list of a million must not hold up everybody else. A filter that runs
// out of steps does not match, whatever its nodes then answer, and Explain says so.
const maxSteps = 500_000

// run is one evaluation.
type run struct {
	root    any
	subject *Subject
	indexes []int // where we are in the lists around the value, from the outside in
	left    int   // steps
}

// step pays for looking at v: text and numbers by their length, the rest as one.
func (r *run) step(v any) bool {
	switch v := v.(type) {
	case string:
		r.left -= len(v) / 32
	case json.Number:
		r.left -= len(v) / 32
	}
	r.left--
	return r.left >= 0
}

func (r *run) exhausted() bool { return r.left < 0 }

// anyElement says whether n matches an element of the list.
func (r *run) anyElement(list []any, n node) bool {
	depth := len(r.indexes)
	r.indexes = append(r.indexes, 0)
	matched := false
	for i, element := range list {
		r.indexes[depth] = i
		if matched = n.match(r, element); matched || r.exhausted() {
			break
		}
	}
	r.indexes = r.indexes[:depth]
	return matched
}

// scalar wants an equal value, or a list that contains one.
type scalar struct{ want any }

func (n *scalar) match(r *run, v any) bool {
	if !r.step(v) {
		return false
	}
	if list, ok := v.([]any); ok {
		return r.anyElement(list, n)
	}
	return looseEqual(v, n.want)
}

// list wants a list in which each of its elements is contained.
type list struct{ want []node }

func (n list) match(r *run, v any) bool {
	if !r.step(v) {
		return false
	}
	elements, ok := v.([]any)
	if !ok {
		return false
	}
	for _, want := range n.want {
		if !r.anyElement(elements, want) {
			return false
		}
	}
	return true
}

// object wants its conditions to hold for the value itself, and its fields for the value's fields,
// or for those of one element of the value when that is a list.
type object struct {
	conditions []node
	fields     *fields // nil: none
}

func (n object) match(r *run, v any) bool {
	if !r.step(v) {
		return false
	}
	for _, c := range n.conditions {
		if !c.match(r, v) {
			return false
		}
	}
	if n.fields == nil {
		return len(n.conditions) > 0 || v != absent
	}
	return n.fields.match(r, v)
}

type fields struct{ list []field }

type field struct {
	name string
	want node
}

func (n *fields) match(r *run, v any) bool {
	if !r.step(v) {
		return false
	}
	var values map[string]any
	switch v := v.(type) {
	case map[string]any:
		values = v
	case []any:
		return r.anyElement(v, n)
	case missing: // all of its fields are missing
	default:
		return false
	}
	for _, f := range n.list {
		value, ok := values[f.name]
		if !ok {
			value = absent
		}
		if !f.want.match(r, value) {
			return false
		}
	}
	return true
}

// all, either and not are $and, $or and $not.
type (
	all    []node
	either []node
	not    struct{ unwanted node }
)

func (n all) match(r *run, v any) bool {
	for _, want := range n {
		if !want.match(r, v) {
			return false
		}
	}
	return true
}

func (n either) match(r *run, v any) bool {
	return slices.ContainsFunc(n, func(want node) bool { return want.match(r, v) })
}

func (n not) match(r *run, v any) bool { return !n.unwanted.match(r, v) }

// exist is $exist.
type exist bool

func (n exist) match(_ *run, v any) bool { return (v != absent) == bool(n) }

// same is $ref alone: what the payload has elsewhere is wanted here.
type same struct{ ref reference }

func (n same) match(r *run, v any) bool {
	want, ok := n.ref.resolve(r)
	return ok && contains(r, v, want)
}

// contains applies a value of the payload as if it were a filter without operators.
func contains(r *run, v, want any) bool {
	if !r.step(v) || !r.step(want) {
		return false
	}
	if elements, ok := v.([]any); ok {
		if wanted, ok := want.([]any); ok {
			return !slices.ContainsFunc(wanted, func(want any) bool { return !containsAny(r, elements, want) })
		}
		return containsAny(r, elements, want)
	}
	wanted, ok := want.(map[string]any)
	if !ok {
		return looseEqual(v, want)
	}
	values, ok := v.(map[string]any)
	if !ok {
		return false
	}
	for name, want := range wanted {
		if value, ok := values[name]; !ok || !contains(r, value, want) {
			return false
		}
	}
	return true
}

func containsAny(r *run, elements []any, want any) bool {
	return slices.ContainsFunc(elements, func(v any) bool { return r.exhausted() || contains(r, v, want) })
}

// comparison is an operator with its operand: a value, or a reference to one.
type comparison struct {
	operator string
	holds    func(r *run, v, operand any) bool
	operand  any
	ref      *reference // instead of operand
}

func (n comparison) match(r *run, v any) bool {
	if v == absent || !r.step(v) {
		return false
	}
	operand := n.operand
	if n.ref != nil {
		var ok bool
		if operand, ok = n.ref.resolve(r); !ok || !r.step(operand) {
			return false
		}
	}
	return n.holds(r, v, operand)
}

// comparisons are the operators that compare a value with an operand. None holds for values or
// operands of the wrong type.
var comparisons = map[string]func(r *run, v, operand any) bool{
	"$eq":  deepEqual,
	"$neq": func(r *run, v, operand any) bool { return !deepEqual(r, v, operand) },
	"$gt":  func(_ *run, v, operand any) bool { c, ok := order(v, operand); return ok && c > 0 },
	"$gte": func(_ *run, v, operand any) bool { c, ok := order(v, operand); return ok && c >= 0 },
	"$lt":  func(_ *run, v, operand any) bool { c, ok := order(v, operand); return ok && c < 0 },
	"$lte": func(_ *run, v, operand any) bool { c, ok := order(v, operand); return ok && c <= 0 },
	"$in":  func(r *run, v, operand any) bool { in, ok := within(r, v, operand); return ok && in },
	"$nin": func(r *run, v, operand any) bool { in, ok := within(r, v, operand); return ok && !in },
	"$startsWith": func(r *run, v, operand any) bool {
		return anyText(r, v, operand, strings.HasPrefix)
	},
	"$endsWith": func(r *run, v, operand any) bool {
		return anyText(r, v, operand, strings.HasSuffix)
	},
}

// looseEqual is JavaScript's == for scalars, with exact numbers. It is false for lists and objects.
func looseEqual(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return x == y
		}
	}
	x, ok := asNumber(a)
	if !ok {
		return false
	}
	y, ok := asNumber(b)
	return ok && x.compare(y) == 0
}

// deepEqual compares lists and objects whole, and scalars loosely.
func deepEqual(r *run, a, b any) bool {
	if !r.step(a) || !r.step(b) {
		return false
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, func(x, y any) bool { return deepEqual(r, x, y) })
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, x := range a {
			if y, ok := b[name]; !ok || !deepEqual(r, x, y) {
				return false
			}
		}
		return true
	}
	return looseEqual(a, b)
}

// order compares two strings by their bytes, and numbers (or a number with text that is one) by
// their value.
func order(a, b any) (int, bool) {
	x, aText := a.(string)
	y, bText := b.(string)
	if aText && bText {
		return strings.Compare(x, y), true
	}
	if !aText && !isNumber(a) || !bText && !isNumber(b) {
		return 0, false
	}
	p, ok := asNumber(a)
	if !ok {
		return 0, false
	}
	q, ok := asNumber(b)
	return p.compare(q), ok
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

// within is $in: the value is in the operand's list; or text has the operand in it; or a list has
// the operand, or one of the operand's elements, among its elements.
func within(r *run, v, operand any) (in, ok bool) {
	// Out of steps, any answer will do: it is not used.
	among := func(list []any, x any) bool {
		return slices.ContainsFunc(list, func(y any) bool { return r.exhausted() || deepEqual(r, x, y) })
	}
	operands, isList := operand.([]any)
	switch v := v.(type) {
	case []any:
		if !isList {
			return among(v, operand), true
		}
		return slices.ContainsFunc(operands, func(x any) bool { return among(v, x) }), true
	case string:
		if text, ok := operand.(string); ok {
			return strings.Contains(v, text), true
		}
	}
	return isList && among(operands, v), isList
}

func anyText(r *run, v, operand any, is func(text, part string) bool) bool {
	text, ok := v.(string)
	if !ok {
		return false
	}
	switch operand := operand.(type) {
	case string:
		return is(text, operand)
	case []any:
		return slices.ContainsFunc(operand, func(x any) bool {
			part, ok := x.(string)
			return r.exhausted() || r.step(x) && ok && is(text, part)
		})
	}
	return false
}
