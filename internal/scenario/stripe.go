package scenario

import (
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readStripe reads a fixture file of the Stripe CLI: calls to Stripe's API, or to one that is like it.
// What _meta says is for Stripe's own tools.
func (s *Scenario) readStripe(top *yaml.Node) error {
	list, err := fields(top, "a fixture file", "_meta", "fixtures", "env")
	if err != nil {
		return err
	}
	for _, f := range list {
		switch f.name {
		case "env":
			err = s.readEnv(f.value)
		case "fixtures":
			err = s.readSteps(f.value, "fixtures", readFixture)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readFixture reads one call. Stripe takes forms, also from those who fetch.
func readFixture(n *yaml.Node, step *Step) error {
	list, err := fields(n, "a fixture", "name", "path", "method", "params", "expected_error_type", "idempotency_key", "context", "api_base", "headers")
	if err != nil {
		return err
	}
	r := &Request{Method: http.MethodPost, Header: http.Header{}}
	step.Request = r
	for _, f := range list {
		switch f.name {
		case "name":
			step.Name, err = text(f.value, "name")
		case "path":
			r.Path, err = text(f.value, "path")
		case "method":
			r.Method, err = text(f.value, "method")
			r.Method = strings.ToUpper(r.Method)
		case "params":
			var v any
			if v, err = value(f.value, 0); v != nil {
				r.Form = &v
			}
		case "api_base":
			r.Base, err = text(f.value, "api_base")
		case "headers":
			err = readHeader(f.value, r.Header)
		case "expected_error_type":
			err = step.expectError(f.value)
		case "idempotency_key", "context":
			var v string
			if v, err = text(f.value, f.name); v != "" {
				r.Header.Set(map[string]string{"idempotency_key": "Idempotency-Key", "context": "Stripe-Context"}[f.name], v)
			}
		}
		if err != nil {
			return err
		}
	}
	return r.check(n)
}

// expectError expects an error of a type.
func (s *Step) expectError(n *yaml.Node) error {
	kind, err := text(n, "expected_error_type")
	if err != nil || kind == "" {
		return err
	}
	var body any = map[string]any{"error": map[string]any{"type": kind}}
	s.Expect = Expect{Status: []Range{{400, 599}}, Body: &body}
	return nil
}
