package scenario

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var methodName = regexp.MustCompile(`^[A-Z]{1,20}$`)

// read reads a request: "GET /path", or a mapping.
func (r *Request) read(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		line, err := text(n, "request")
		if err != nil {
			return err
		}
		method, target, _ := strings.Cut(line, " ")
		r.Method = method
		r.target(strings.TrimSpace(target))
		return r.check(n)
	}
	list, err := fields(n, "a request", "method", "path", "url", "headers", "body", "form")
	if err != nil {
		return err
	}
	r.Method = http.MethodGet
	for _, f := range list {
		switch f.name {
		case "method":
			r.Method, err = text(f.value, "method")
		case "path":
			r.Path, err = text(f.value, "path")
		case "url":
			r.URL, err = text(f.value, "url")
		case "headers":
			err = readHeader(f.value, r.Header)
		case "body", "form":
			var v any
			v, err = value(f.value, 0)
			if f.name == "body" {
				r.Body = &v
			} else {
				r.Form = &v
			}
		}
		if err != nil {
			return err
		}
	}
	return r.check(n)
}

func (r *Request) target(text string) {
	if strings.HasPrefix(text, "/") {
		r.Path = text
	} else {
		r.URL = text
	}
}

func (r *Request) check(n *yaml.Node) error {
	switch {
	case !methodName.MatchString(r.Method):
		return wrong(n, "%q is no method: write GET /path, or a mapping with method and path", r.Method)
	case (r.Path == "") == (r.URL == ""):
		return wrong(n, "a request has either a path, which begins with /, or a url")
	case r.Path != "" && r.Path[0] != '/':
		return wrong(n, "the path %q does not begin with /", r.Path)
	case r.Body != nil && r.Form != nil:
		return wrong(n, "a request has a body or a form, not both")
	}
	if r.Form != nil {
		if _, ok := (*r.Form).(map[string]any); !ok {
			return wrong(n, "a form must be a mapping")
		}
	}
	return nil
}

func readExpect(n *yaml.Node) (Expect, error) {
	var e Expect
	list, err := fields(n, "expect", "status", "body")
	if err != nil {
		return e, err
	}
	for _, f := range list {
		if f.name == "body" {
			v, err := value(f.value, 0)
			if err != nil {
				return e, err
			}
			e.Body = &v
			continue
		}
		statuses, err := texts(f.value, "status")
		if err != nil {
			return e, err
		}
		for _, status := range statuses {
			r, ok := statusRange(status)
			if !ok {
				return e, wrong(f.value, "%q is no status: write 200, or 2xx, or a list of such", status)
			}
			e.Status = append(e.Status, r)
		}
	}
	return e, nil
}

func statusRange(text string) (Range, bool) {
	if class, ok := strings.CutSuffix(text, "xx"); ok && len(class) == 1 && class >= "1" && class <= "5" {
		n := int(class[0]-'0') * 100
		return Range{n, n + 99}, true
	}
	n, err := strconv.Atoi(text)
	return Range{n, n}, err == nil && n >= 100 && n <= 599
}

func readRetry(n *yaml.Node) (Retry, error) {
	r := Retry{Every: 200 * time.Millisecond}
	list, err := fields(n, "retry", "for", "every")
	if err != nil {
		return r, err
	}
	for _, f := range list {
		into := &r.For
		if f.name == "every" {
			into = &r.Every
		}
		if *into, err = span(f.value, f.name); err != nil {
			return r, err
		}
	}
	if r.For == 0 || r.Every < 10*time.Millisecond {
		return r, wrong(n, "retry needs for, such as 10s; and every must be 10ms or more")
	}
	return r, nil
}

func span(n *yaml.Node, what string) (time.Duration, error) {
	t, err := text(n, what)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(t)
	if err != nil || d < 0 || d > maxSpan {
		return 0, wrong(n, "%s must be a time of up to %s, such as 500ms or 2s, not %q", what, maxSpan, t)
	}
	return d, nil
}
