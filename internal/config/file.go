package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// File is a settings file: a flat YAML mapping from a flag's name to its value, written with "_"
// or "-". A name that ends in _file holds the path of a file with the value, for secrets.
type File struct {
	path   string
	values map[string]any
}

// maxFileBytes bounds a settings file: a larger one is something else, named by mistake.
const maxFileBytes = 1 << 20

// ReadFile reads a settings file.
func ReadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("read settings: %s is larger than %d bytes", path, maxFileBytes)
	}
	values, err := ParseFile(text)
	if err != nil {
		return nil, fmt.Errorf("read settings from %s: %w", path, err)
	}
	return &File{path: path, values: values}, nil
}

// ParseFile reads the text of a settings file into names with "-" and their values.
func ParseFile(text []byte) (map[string]any, error) {
	raw := map[string]any{}
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&raw); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	values := make(map[string]any, len(raw))
	for name, value := range raw {
		plain, err := plainValue(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		key := strings.ReplaceAll(name, "_", "-")
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s is set twice", name)
		}
		values[key] = plain
	}
	return values, nil
}

// plainValue turns a scalar, or a list of scalars, into the text that a flag would get.
func plainValue(value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			switch item.(type) {
			case nil, []any, map[string]any, map[any]any:
				return nil, errors.New("must be a list of plain values")
			}
			parts[i] = fmt.Sprint(item)
		}
		return strings.Join(parts, ","), nil
	case map[string]any, map[any]any:
		return nil, errors.New("must be a plain value, not a mapping")
	default:
		return fmt.Sprint(v), nil
	}
}

// Value is the value of a flag, if the file has one; a secret may stand in a file of its own.
func (f *File) Value(flag string, secret bool) (any, error) {
	if v, ok := f.values[flag]; ok && v != nil {
		return v, nil
	}
	if path, ok := f.values[flag+"-file"].(string); ok && secret {
		return ReadSecret(path)
	}
	return nil, nil
}

// Unknown lists the names in the file that are no setting: most likely misspelt, and a misspelt
// setting that is silently ignored is worse than an error.
func (f *File) Unknown(known func(flag string, fromFile bool) bool) []string {
	var out []string
	for name := range f.values {
		base, fromFile := strings.CutSuffix(name, "-file")
		if !known(name, false) && !(fromFile && known(base, true)) {
			out = append(out, strings.ReplaceAll(name, "-", "_"))
		}
	}
	return out
}

// ReadSecret reads a secret from a file, without the newline that editors put at its end.
func ReadSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
