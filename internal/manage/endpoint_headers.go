package manage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
)

// maxHeaders bounds an endpoint's headers.
const maxHeaders = 100

// sensitiveHeader says whether a header's value is shown to nobody.
func sensitiveHeader(name string) bool {
	switch name {
	case "authorization", "x-auth-token", "x-api-key", "www-authenticate":
		return true
	}
	return strings.HasPrefix(name, "proxy-auth")
}

// headers checks and copies headers.
func (v *check) headers(in map[string]string) map[string]string {
	if len(in) > maxHeaders {
		v.wrong(fmt.Sprintf("must not be more than %d", maxHeaders), "body", "headers")
		return nil
	}
	seen := make(map[string]bool, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		lower := strings.ToLower(name)
		if problem := outbound.FieldProblem(name, in[name]); problem != "" {
			v.wrong(problem, "body", "headers", name)
		} else if seen[lower] {
			v.wrong("is there twice, in other letters", "body", "headers", name)
		}
		seen[lower] = true
	}
	return maps.Clone(in)
}

// EndpointHeaders answers an endpoint's headers; those that carry credentials are only named.
func (m *Manager) EndpointHeaders(ctx context.Context, c Caller, app, endpoint string) (h Headers, err error) {
	_, ep, err := m.appEndpoint(ctx, &c, opHeadersGet, app, endpoint)
	if err != nil {
		return h, err
	}
	h = Headers{Headers: map[string]string{}, Sensitive: []string{}}
	for name, value := range ep.Headers {
		if sensitiveHeader(strings.ToLower(name)) {
			h.Sensitive = append(h.Sensitive, name)
		} else {
			h.Headers[name] = value
		}
	}
	slices.Sort(h.Sensitive)
	return h, nil
}

// SetEndpointHeaders replaces all headers of an endpoint.
func (m *Manager) SetEndpointHeaders(ctx context.Context, c Caller, app, endpoint string, headers map[string]string) error {
	a, ep, err := m.appEndpoint(ctx, &c, opHeadersSet, app, endpoint)
	if err != nil {
		return err
	}
	var v check
	checked := v.headers(headers)
	if err := v.err(); err != nil {
		return err
	}
	_, err = m.updateEndpoint(ctx, &c, opHeadersSet, a, ep.ID, func(_ *check, e *hark.Endpoint) {
		e.Headers = checked
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
	})
	return err
}

// PatchEndpointHeaders sets and removes single headers. Their names are compared as HTTP does,
// whatever their case.
func (m *Manager) PatchEndpointHeaders(ctx context.Context, c Caller, app, endpoint string, in HeadersPatch) error {
	a, ep, err := m.appEndpoint(ctx, &c, opHeadersPatch, app, endpoint)
	if err != nil {
		return err
	}
	var v check
	set := map[string]string{}
	remove := slices.Clone(in.Delete)
	for name, value := range in.Headers {
		remove = append(remove, name) // also before it is set: its letters may have changed
		if value != nil {
			set[name] = *value
		}
	}
	v.headers(set)
	if err := v.err(); err != nil {
		return err
	}
	_, err = m.updateEndpoint(ctx, &c, opHeadersPatch, a, ep.ID, func(v *check, e *hark.Endpoint) {
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
		maps.DeleteFunc(e.Headers, func(name, _ string) bool {
			return slices.ContainsFunc(remove, func(r string) bool { return strings.EqualFold(r, name) })
		})
		maps.Copy(e.Headers, set)
		if len(e.Headers) > maxHeaders {
			v.wrong(fmt.Sprintf("must not be more than %d", maxHeaders), "body", "headers")
		}
	})
	return err
}
