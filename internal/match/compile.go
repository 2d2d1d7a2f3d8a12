package match

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/harkhq/hark"
)

// Limits of a filter.
const (
	MaxFilterBytes = 16 << 10
	MaxFilterDepth = 32
	MaxFilterNodes = 1000
)

// knownOperators in the order in which people read them.
var knownOperators = []string{
	"$eq", "$neq", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$startsWith", "$endsWith",
	"$exist", "$or", "$and", "$not", "$ref", "$request",
}

// Compile checks a rule and prepares it. What is wrong with a filter is told as a *hark.Error of
// code Invalid whose Loc leads to the place, below body, filter.
//
// A filter is a JSON object that the payload must match in part: the keys it names must match,
// others are free.
//
//	{"type": "order", "total": {"$gte": 100}, "lines": {"sku": "A-1"}, "$not": {"test": true}}
//
//	scalar                       an equal value, or a list that contains one (equality is loose: "5" is 5)
//	[…]                          a list that contains a match for each element
//	{key: …}                     an object whose keys match, or a list with one such element
//	$eq $neq                     equal or not, lists and objects as a whole
//	$gt $gte $lt $lte            order of numbers, or of text
//	$in $nin                     in the list; or contained in the text or list that is there
//	$startsWith $endsWith        text, or a list of which one fits
//	$exist                       true or false: whether the key is there
//	$or $and $not                logic, at any level
//	$request                     a filter on the request that brought an inbound message, in place of the
//	                             payload: {"$request": {"headers": {"x-github-event": "push"}}}
//	$ref                         the value at another path of the payload; also as {"$gt": {"$ref": "a.b"}}
//
// A key that is missing matches nothing but {"$exist": false} and $not.
func Compile(rule Rule) (*Matcher, error) {
	m := &Matcher{eventTypes: newSet(rule.EventTypes), channels: newSet(rule.Channels)}
	if text := bytes.TrimSpace(rule.Filter); len(text) == 0 || string(text) == "null" {
		return m, nil
	}
	p := path{"body", "filter"}
	if len(rule.Filter) > MaxFilterBytes {
		return nil, p.refuse("a filter has at most %d bytes, not %d", MaxFilterBytes, len(rule.Filter))
	}
	if !json.Valid(rule.Filter) {
		return nil, p.refuse("a filter must be JSON")
	}
	r := reader{dec: json.NewDecoder(bytes.NewReader(rule.Filter))}
	r.dec.UseNumber()
	t, err := r.value(p, 1)
	if err != nil {
		return nil, err
	}
	if t.kind != objectTree {
		return nil, p.refuse("a filter must be an object")
	}
	m.filter, err = compile(p, t)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// path leads to a place in the request.
type path []string

func (p path) at(step string) path { return append(slices.Clip(p), step) }

func (p path) refuse(format string, args ...any) error {
	return hark.InvalidField(fmt.Sprintf(format, args...), p...)
}

// tree is a JSON value with its keys in the order of the text.
type tree struct {
	kind   treeKind
	scalar any
	items  []tree
	names  []string // of items, for an object
}

type treeKind int8

const (
	scalarTree treeKind = iota
	listTree
	objectTree
)

// reader reads trees within the limits.
type reader struct {
	dec   *json.Decoder
	nodes int
}

func (r *reader) value(p path, depth int) (tree, error) {
	if depth > MaxFilterDepth {
		return tree{}, p.refuse("a filter is at most %d levels deep", MaxFilterDepth)
	}
	if r.nodes++; r.nodes > MaxFilterNodes {
		return tree{}, p.refuse("a filter has at most %d values", MaxFilterNodes)
	}
	token, err := r.dec.Token()
	if err != nil {
		return tree{}, p.refuse("a filter must be JSON")
	}
	switch token {
	case json.Delim('['):
		return r.list(p, depth)
	case json.Delim('{'):
		return r.object(p, depth)
	}
	return tree{scalar: token}, nil
}

func (r *reader) list(p path, depth int) (tree, error) {
	t := tree{kind: listTree}
	for r.dec.More() {
		item, err := r.value(p.at(strconv.Itoa(len(t.items))), depth+1)
		if err != nil {
			return tree{}, err
		}
		t.items = append(t.items, item)
	}
	_, err := r.dec.Token()
	return t, err
}

func (r *reader) object(p path, depth int) (tree, error) {
	t := tree{kind: objectTree}
	seen := map[string]bool{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return tree{}, p.refuse("a filter must be JSON")
		}
		name, _ := token.(string)
		if seen[name] {
			return tree{}, p.at(name).refuse("the key stands there twice")
		}
		seen[name] = true
		item, err := r.value(p.at(name), depth+1)
		if err != nil {
			return tree{}, err
		}
		t.names = append(t.names, name)
		t.items = append(t.items, item)
	}
	_, err := r.dec.Token()
	return t, err
}

// plain is the tree as the JSON decoder would have given it.
func (t tree) plain() any {
	switch t.kind {
	case listTree:
		values := make([]any, len(t.items))
		for i, item := range t.items {
			values[i] = item.plain()
		}
		return values
	case objectTree:
		values := make(map[string]any, len(t.items))
		for i, item := range t.items {
			values[t.names[i]] = item.plain()
		}
		return values
	}
	return t.scalar
}

func compile(p path, t tree) (node, error) {
	switch t.kind {
	case scalarTree:
		return &scalar{t.scalar}, nil
	case listTree:
		want, err := compileAll(p, t)
		return list{want}, err
	}
	var o object
	for i, name := range t.names {
		at, item := p.at(name), t.items[i]
		if !strings.HasPrefix(name, "$") {
			want, err := compile(at, item)
			if err != nil {
				return nil, err
			}
			if o.fields == nil {
				o.fields = &fields{}
			}
			o.fields.list = append(o.fields.list, field{name, want})
			continue
		}
		condition, err := compileOperator(at, name, item)
		if err != nil {
			return nil, err
		}
		o.conditions = append(o.conditions, condition)
	}
	return o, nil
}

func compileAll(p path, t tree) ([]node, error) {
	nodes := make([]node, len(t.items))
	for i, item := range t.items {
		n, err := compile(p.at(strconv.Itoa(i)), item)
		if err != nil {
			return nil, err
		}
		nodes[i] = n
	}
	return nodes, nil
}

func compileOperator(p path, operator string, t tree) (node, error) {
	switch operator {
	case "$or", "$and":
		if t.kind != listTree || len(t.items) == 0 {
			return nil, p.refuse("%s takes a list of at least one filter", operator)
		}
		nodes, err := compileAll(p, t)
		if operator == "$or" {
			return either(nodes), err
		}
		return all(nodes), err
	case "$not":
		n, err := compile(p, t)
		return not{n}, err
	case "$request":
		if t.kind != objectTree {
			return nil, p.refuse("$request takes an object with method, path, query, headers or body")
		}
		n, err := compile(p, t)
		return request{n}, err
	case "$exist":
		want, ok := t.scalar.(bool)
		if !ok {
			return nil, p.refuse("$exist takes true or false")
		}
		return exist(want), nil
	case "$ref":
		ref, err := compileReference(p, t)
		return same{ref}, err
	}
	return compileComparison(p, operator, t)
}

func compileReference(p path, t tree) (reference, error) {
	text, ok := t.scalar.(string)
	if !ok {
		return reference{}, p.refuse("%v", errReference)
	}
	ref, err := parseReference(text)
	if err != nil {
		return reference{}, p.refuse("%v", err)
	}
	return ref, nil
}

func compileComparison(p path, operator string, t tree) (node, error) {
	holds, known := comparisons[operator]
	if !known {
		return nil, p.refuse("unknown operator %s; the operators are %s", clip(operator), strings.Join(knownOperators, " "))
	}
	c := comparison{operator: operator, holds: holds}
	if t.kind == objectTree && len(t.names) == 1 && t.names[0] == "$ref" {
		ref, err := compileReference(p.at("$ref"), t.items[0])
		if err != nil {
			return nil, err
		}
		c.ref = &ref
		return c, nil
	}
	if wanted := operandWanted(operator, t); wanted != "" {
		return nil, p.refuse("%s takes %s", operator, wanted)
	}
	c.operand = t.plain()
	return c, nil
}

// operandWanted says what an operator takes when t is not that; "" when it is.
func operandWanted(operator string, t tree) string {
	_, isText := t.scalar.(string)
	switch operator {
	case "$gt", "$gte", "$lt", "$lte":
		if _, isNumber := t.scalar.(json.Number); !isText && !isNumber {
			return "a number, text or a $ref"
		}
	case "$in", "$nin":
		if t.kind == objectTree {
			return "a list, text, another scalar or a $ref"
		}
	case "$startsWith", "$endsWith":
		isTexts := t.kind == listTree && !slices.ContainsFunc(t.items, func(item tree) bool {
			_, ok := item.scalar.(string)
			return !ok
		})
		if !isText && !isTexts {
			return "text, a list of texts or a $ref"
		}
	}
	return ""
}
