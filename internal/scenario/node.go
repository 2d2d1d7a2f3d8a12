package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mistake is something wrong at a line.
type mistake struct {
	line int
	err  error
}

func (m *mistake) Error() string { return m.err.Error() }
func (m *mistake) Unwrap() error { return m.err }

// wrong is a mistake in a file.
func wrong(n *yaml.Node, format string, args ...any) error {
	return &mistake{n.Line, fmt.Errorf("%w: "+format, append([]any{ErrFile}, args...)...)}
}

// field is one entry of a mapping.
type field struct {
	name  string
	key   *yaml.Node
	value *yaml.Node
}

// fields reads a mapping with known names; with none, any name.
func fields(n *yaml.Node, what string, known ...string) ([]field, error) {
	if n.Kind != yaml.MappingNode {
		return nil, wrong(n, "%s must be a mapping", what)
	}
	var list []field
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Tag == "!!merge":
			return nil, wrong(key, "a name in %s must be a plain text", what)
		case len(known) > 0 && !slices.Contains(known, key.Value):
			return nil, wrong(key, "%s has no %q; there are %s", what, key.Value, strings.Join(known, ", "))
		case slices.ContainsFunc(list, func(f field) bool { return f.name == key.Value }):
			return nil, wrong(key, "%q stands twice", key.Value)
		}
		list = append(list, field{key.Value, key, value})
	}
	return list, nil
}

// value reads anything that JSON can say. Numbers stay exact.
func value(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, wrong(n, "values stand too deep in each other")
	}
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return nil, wrong(n, "anchors and aliases are not for scenarios: refer to a step with ${name.path}")
	}
	switch n.Kind {
	case yaml.MappingNode:
		list, err := fields(n, "a value")
		if err != nil {
			return nil, err
		}
		object := make(map[string]any, len(list))
		for _, f := range list {
			if object[f.name], err = value(f.value, depth+1); err != nil {
				return nil, err
			}
		}
		return object, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, wrong(n, "this is no value")
}

// scalar reads a text, a number, a truth or nothing. A date is the text that stands there.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, wrong(n, "%q is neither true nor false", n.Value)
		}
		return b, nil
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), nil
		}
		var f float64
		if err := n.Decode(&f); err != nil {
			return nil, wrong(n, "%q is no number", n.Value)
		}
		text, err := json.Marshal(f)
		if err != nil {
			return nil, wrong(n, "%s is no number that JSON has", n.Value)
		}
		return json.Number(text), nil
	case "!!str", "!!timestamp":
		return n.Value, nil
	}
	return nil, wrong(n, "%s is a value that JSON does not have", n.ShortTag())
}

// text reads a text, or a number as one.
func text(n *yaml.Node, what string) (string, error) {
	v, err := value(n, 0)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", wrong(n, "%s must be a text", what)
}

// texts reads a text or a list of them.
func texts(n *yaml.Node, what string) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		one, err := text(n, what)
		return []string{one}, err
	}
	list := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		one, err := text(item, what)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}
