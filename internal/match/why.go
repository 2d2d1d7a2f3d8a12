package match

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

func unlike(path, wanted string, found any) string {
	return fmt.Sprintf("%s: wanted %s, found %s", path, wanted, show(found))
}

func (n *scalar) why(_ *run, path string, v any) string { return unlike(path, show(n.want), v) }

func (n list) why(r *run, path string, v any) string {
	elements, ok := v.([]any)
	if !ok {
		return unlike(path, "a list", v)
	}
	for i, want := range n.want {
		if !r.anyElement(elements, want) {
			return fmt.Sprintf("%s: no element matches item %d of the filter's list", path, i)
		}
	}
	return ""
}

func (n object) why(r *run, path string, v any) string {
	for _, c := range n.conditions {
		if !c.match(r, v) {
			return c.why(r, path, v)
		}
	}
	if n.fields == nil {
		return unlike(path, "something", v)
	}
	return n.fields.why(r, path, v)
}

func (n *fields) why(r *run, path string, v any) string {
	values, ok := v.(map[string]any)
	switch elements := v.(type) {
	case []any:
		if len(elements) != 1 {
			return fmt.Sprintf("%s: none of the %d elements matches", path, len(elements))
		}
		r.indexes = append(r.indexes, 0)
		defer func() { r.indexes = r.indexes[:len(r.indexes)-1] }()
		return n.why(r, path+"[0]", elements[0])
	case missing:
	default:
		if !ok {
			return unlike(path, "an object", v)
		}
	}
	for _, f := range n.list {
		value, ok := values[f.name]
		if !ok {
			value = absent
		}
		if !f.want.match(r, value) {
			return f.want.why(r, path+"."+f.name, value)
		}
	}
	return ""
}

func (n all) why(r *run, path string, v any) string {
	for _, want := range n {
		if !want.match(r, v) {
			return want.why(r, path, v)
		}
	}
	return ""
}

func (n either) why(r *run, path string, v any) string {
	if len(n) == 1 {
		return n[0].why(r, path, v)
	}
	return fmt.Sprintf("%s: none of the %d alternatives of $or matches; the first: %s", path, len(n), n[0].why(r, path, v))
}

func (n not) why(_ *run, path string, v any) string {
	return fmt.Sprintf("%s: matches what $not excludes, found %s", path, show(v))
}

func (n exist) why(_ *run, path string, v any) string {
	return unlike(path, "$exist "+strconv.FormatBool(bool(n)), v)
}

func (n same) why(r *run, path string, v any) string {
	return unlike(path, n.ref.show(r), v)
}

func (n comparison) why(r *run, path string, v any) string {
	if n.ref != nil {
		return unlike(path, n.operator+" "+n.ref.show(r), v)
	}
	return unlike(path, n.operator+" "+show(n.operand), v)
}

// show writes a value for a person: scalars as they are, up to a length; the rest by its kind.
func show(v any) string {
	switch v := v.(type) {
	case missing:
		return "nothing"
	case map[string]any:
		return "an object"
	case []any:
		return showList(v)
	case json.Number:
		return clip(string(v))
	case string:
		return strconv.Quote(clip(v))
	default:
		return fmt.Sprint(orNull(v))
	}
}

func showList(values []any) string {
	const most = 8
	if len(values) > most {
		return fmt.Sprintf("a list of %d", len(values))
	}
	parts := make([]string, len(values))
	for i, v := range values {
		if inner, ok := v.([]any); ok {
			parts[i] = fmt.Sprintf("a list of %d", len(inner))
			continue
		}
		parts[i] = show(v)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func orNull(v any) any {
	if v == nil {
		return "null"
	}
	return v
}

// clip cuts text that is too long for a sentence.
func clip(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
