package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas checks {version: JSON Schema draft 7}. Publishing does not check payloads against them:
// they are documentation and examples.
func (v *check) schemas(in Opt[json.RawMessage]) json.RawMessage {
	if !in.Given() {
		return nil
	}
	var versions map[string]json.RawMessage
	if err := json.Unmarshal(in.Value, &versions); err != nil {
		v.wrong("must be an object of JSON Schemas by version", "body", "schemas")
		return nil
	}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		if err := compileSchema(versions[version]); err != nil {
			v.wrong(err.Error(), "body", "schemas", version)
		}
	}
	return bytes.Clone(in.Value)
}

// schemaURL is what a schema's own references resolve against. Nothing is fetched from there.
const schemaURL = "hark:schema"

// compileSchema says what is wrong with a schema. References that lead out of it are refused: the
// server would have to fetch what a stranger names.
func compileSchema(text []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return errors.New("is not JSON")
	}
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return errors.New("must be an object")
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, doc); err != nil {
		return fmt.Errorf("is not a JSON Schema: %w", err)
	}
	if _, err := compiler.Compile(schemaURL); err != nil {
		return fmt.Errorf("is not a JSON Schema: %w", err)
	}
	return nil
}

// noLoader refuses to fetch.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("references to other documents are not followed (%q)", url)
}

// example answers one of the examples in the first version of an event type's schemas.
func example(schemas json.RawMessage, index int) (json.RawMessage, bool) {
	var versions map[string]json.RawMessage
	var first struct {
		Examples []json.RawMessage `json:"examples"`
	}
	if json.Unmarshal(schemas, &versions) != nil || json.Unmarshal(versions["1"], &first) != nil {
		return nil, false
	}
	if index < 0 || index >= len(first.Examples) {
		return nil, false
	}
	text := bytes.TrimSpace(first.Examples[index])
	return text, len(text) > 0 && text[0] == '{'
}
