package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Read reads a scenario from YAML or JSON: Hark's own (steps) or a fixture file of the Stripe CLI
// (fixtures). name is what mistakes are said to be in.
func Read(name string, from io.Reader) (*Scenario, error) {
	s := &Scenario{File: name, Env: map[string]string{}}
	if err := s.read(from); err != nil {
		if placed, ok := errors.AsType[*Error](err); ok {
			return nil, placed
		}
		e := &Error{File: name, Err: err}
		if m, ok := errors.AsType[*mistake](err); ok {
			e.Line, e.Err = m.line, m.err
		}
		return nil, e
	}
	return s, nil
}

func (s *Scenario) read(from io.Reader) error {
	document, err := io.ReadAll(io.LimitReader(from, maxFileBytes+1))
	if err != nil {
		return fmt.Errorf("read scenario: %w", err)
	}
	if len(document) > maxFileBytes {
		return fmt.Errorf("%w: it is larger than %d bytes", ErrFile, maxFileBytes)
	}
	if json.Valid(document) {
		document = asYAML(document)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var root yaml.Node
	if err := decoder.Decode(&root); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is more than one document in it", ErrFile)
	}
	top := root.Content[0]
	if top.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(top.Content); i += 2 {
			if top.Content[i].Value == "fixtures" {
				s.Stripe = true
				return s.readStripe(top)
			}
		}
	}
	return s.readTop(top)
}

// asYAML writes out what JSON escapes and YAML does not: "\/", and characters in two halves, "\ud83e\udd56".
// All else in JSON is YAML.
func asYAML(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		if r := utf16.DecodeRune(escaped(text, i), escaped(text, i+6)); r != unicode.ReplacementChar {
			out, i = utf8.AppendRune(out, r), i+11
			continue
		}
		i++ // in JSON something follows a backslash
		if text[i] != '/' {
			out = append(out, '\\')
		}
		out = append(out, text[i])
	}
	return out
}

// escaped is the half that a \uXXXX at a place says; 0 if there is none.
func escaped(text []byte, i int) rune {
	if i+6 > len(text) || text[i] != '\\' || text[i+1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

// readTop reads a scenario of Hark's own format.
func (s *Scenario) readTop(top *yaml.Node) error {
	list, err := fields(top, "a scenario", "steps", "api", "to", "source", "app", "provider", "secret", "env")
	if err != nil {
		return err
	}
	var steps *yaml.Node
	for _, f := range list {
		switch f.name {
		case "steps":
			steps = f.value
		case "env":
			err = s.readEnv(f.value)
		default:
			into := map[string]*string{"api": &s.API, "to": &s.To, "source": &s.Source, "app": &s.App, "provider": &s.Provider, "secret": &s.Secret}[f.name]
			if *into, err = text(f.value, f.name); err == nil {
				err = checkReferences(f.value, *into, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	if steps == nil {
		return wrong(top, "it has no steps")
	}
	return s.readSteps(steps, "steps", s.readStep)
}

func (s *Scenario) readEnv(n *yaml.Node) error {
	list, err := fields(n, "env")
	if err != nil {
		return err
	}
	for _, f := range list {
		if s.Env[f.name], err = text(f.value, "a variable"); err != nil {
			return err
		}
	}
	return nil
}

// readSteps reads a list of steps, each of which may refer to those before it.
func (s *Scenario) readSteps(n *yaml.Node, what string, read func(*yaml.Node, *Step) error) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return wrong(n, "%s must be a list with at least one", what)
	}
	if len(n.Content) > maxSteps {
		return wrong(n, "there are %d steps; %d is the limit", len(n.Content), maxSteps)
	}
	known := map[string]bool{}
	for i, item := range n.Content {
		step := Step{Number: i + 1, Line: item.Line}
		err := read(item, &step)
		if err == nil {
			err = checkReferences(item, step.values(), known)
		}
		if err == nil {
			err = checkName(item, step.Name, known)
		}
		if err != nil {
			if m, ok := errors.AsType[*mistake](err); ok {
				step.Line, err = m.line, m.err
			}
			return s.at(&step, err)
		}
		if step.Name != "" {
			known[step.Name] = true
		}
		s.Steps = append(s.Steps, step)
	}
	return nil
}

var stepName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

func checkName(n *yaml.Node, name string, known map[string]bool) error {
	switch {
	case name == "":
		return nil
	case !stepName.MatchString(name) || name == "env" || made[name] != nil:
		return wrong(n, "%q cannot be a name: letters, digits, _ and -, and none of env, uuid, now, unix", name)
	case known[name]:
		return wrong(n, "another step is named %q", name)
	}
	return nil
}

// values are all values of a step that can have references.
func (s *Step) values() []any {
	var list []any
	header := func(h http.Header) {
		for _, v := range h {
			list = append(list, v[0])
		}
	}
	if e := s.Event; e != nil {
		list = append(list, e.To, e.Source, e.App, e.Secret)
		header(e.Header)
		for _, changes := range [][]Change{e.Override, e.Add} {
			for _, c := range changes {
				list = append(list, c.Value)
			}
		}
	}
	if r := s.Request; r != nil {
		list = append(list, r.Path, r.URL, r.Base)
		header(r.Header)
		for _, v := range []*any{r.Body, r.Form} {
			if v != nil {
				list = append(list, *v)
			}
		}
	}
	if s.Expect.Body != nil {
		list = append(list, *s.Expect.Body)
	}
	return list
}

// stepFields are those of both kinds of steps; each kind has its own beside them.
var (
	stepFields  = []string{"trigger", "request", "name", "wait", "expect"}
	eventFields = append([]string{"provider", "to", "source", "app", "secret", "headers", "override", "add", "remove"}, stepFields...)
	callFields  = append([]string{"retry"}, stepFields...)
)

// readStep reads one step.
func (s *Scenario) readStep(n *yaml.Node, step *Step) error {
	list, err := fields(n, "a step")
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, f := range list {
		has[f.name] = true
		if f.name == "name" {
			if step.Name, err = text(f.value, "name"); err != nil {
				return err
			}
		}
	}
	kinds := eventFields
	switch {
	case has["trigger"] == has["request"]:
		return wrong(n, "a step has either trigger or request")
	case has["trigger"]:
		step.Event = &Event{Header: http.Header{}}
	default:
		step.Request, kinds = &Request{Header: http.Header{}}, callFields
	}
	if list, err = fields(n, "such a step", kinds...); err != nil {
		return err
	}
	for _, f := range list {
		if err := step.readField(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Step) readField(f field) (err error) {
	switch f.name {
	case "name":
	case "wait":
		s.Wait, err = span(f.value, "wait")
	case "expect":
		s.Expect, err = readExpect(f.value)
	case "retry":
		s.Retry, err = readRetry(f.value)
	case "request":
		err = s.Request.read(f.value)
	default:
		err = s.Event.readField(f)
	}
	return err
}

func (e *Event) readField(f field) (err error) {
	switch f.name {
	case "trigger":
		e.Type, err = text(f.value, "trigger")
		if err == nil && e.Type == "" {
			err = wrong(f.value, "trigger which event?")
		}
	case "headers":
		err = readHeader(f.value, e.Header)
	case "override":
		e.Override, err = readChanges(f.value, "override")
	case "add":
		e.Add, err = readChanges(f.value, "add")
	case "remove":
		e.Remove, err = texts(f.value, "remove")
	default:
		into := map[string]*string{"provider": &e.Provider, "to": &e.To, "source": &e.Source, "app": &e.App, "secret": &e.Secret}[f.name]
		*into, err = text(f.value, f.name)
	}
	return err
}

func readChanges(n *yaml.Node, what string) ([]Change, error) {
	list, err := fields(n, what)
	if err != nil {
		return nil, err
	}
	changes := make([]Change, 0, len(list))
	for _, f := range list {
		if strings.Contains(f.name, "=") {
			return nil, wrong(f.key, "%s must be a mapping from paths, such as data.object.amount, to values", what)
		}
		v, err := value(f.value, 0)
		if err != nil {
			return nil, err
		}
		changes = append(changes, Change{f.name, v})
	}
	return changes, nil
}

func readHeader(n *yaml.Node, into http.Header) error {
	list, err := fields(n, "headers")
	if err != nil {
		return err
	}
	for _, f := range list {
		v, err := text(f.value, "a header")
		if err != nil {
			return err
		}
		into.Set(f.name, v)
	}
	return nil
}
