package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a piece of the OpenAPI document. encoding/json writes its keys in order, so that the
// document is the same every time.
type object = map[string]any

// openAPI describes the table as an OpenAPI 3.1 document.
func openAPI(table []operation) object {
	schemas := schemas{}
	paths := map[string]object{}
	for i := range table {
		op := &table[i]
		if op.hidden {
			continue
		}
		path := op.fullPath()
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(op.method)] = describe(op, schemas)
	}
	schemas.of(reflect.TypeFor[HTTPError](), true)
	schemas.of(reflect.TypeFor[HTTPValidationError](), true)
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title":       "Hark",
			"version":     "1.0.0",
			"description": "Webhooks, sent and received. The clients made for Svix work with this API.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"bearer": []string{}}},
		"paths":    paths,
		"webhooks": object{"message": deliveryWebhook()},
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "description": "An API key (hark_…), or a JSON Web Token as Svix's server signs it."}},
			"responses":       failures(),
		},
	}
}

var wildcard = regexp.MustCompile(`\{(\w+)\}`)

func describe(op *operation, schemas schemas) object {
	params := []object{}
	for _, m := range wildcard.FindAllStringSubmatch(op.path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true,
			"schema": object{"type": "string"}, "description": wildcardDoc(m[1])})
	}
	for _, p := range op.query {
		described := object{"name": p.name, "in": "query", "description": p.doc, "schema": schemas.of(p.kind, false)}
		if p.kind.Kind() == reflect.Slice {
			described["style"], described["explode"] = "form", false
		}
		params = append(params, described)
	}
	if op.method == http.MethodPost && op.access != everyone {
		params = append(params, object{"name": "idempotency-key", "in": "header", "schema": object{"type": "string"},
			"description": "The same key with the same request takes effect once, and is answered alike for 12 hours."})
	}
	out := object{
		"operationId": op.id, "tags": []string{op.tag}, "summary": op.summary,
		"parameters": params, "responses": responses(op, schemas),
	}
	if op.doc != "" {
		out["description"] = op.doc
	}
	if op.access == everyone {
		out["security"] = []object{}
	}
	if op.in != typeNone {
		out["requestBody"] = object{"required": !op.optionalBody, "content": jsonContent(schemas.of(op.in, false))}
	}
	return out
}

func wildcardDoc(name string) string {
	switch name {
	case "app_id":
		return "The application's id or uid."
	case "endpoint_id":
		return "The endpoint's id or uid."
	case "source_id":
		return "The source's id or uid."
	case "msg_id":
		return "The message's id or event id."
	case "poller_id":
		return "The poller's id or uid."
	}
	return ""
}

func jsonContent(schema object) object { return object{"application/json": object{"schema": schema}} }

func responses(op *operation, schemas schemas) object {
	out := object{}
	for _, status := range op.status {
		response := object{"description": http.StatusText(status)}
		switch op.out {
		case typeNone:
		case typeOctets:
			response["content"] = object{"application/octet-stream": object{}}
		default:
			response["content"] = jsonContent(schemas.of(op.out, true))
			if op.stream {
				response["content"] = object{"text/event-stream": object{"schema": schemas.of(op.out, true)}}
			}
		}
		out[strconv.Itoa(status)] = response
	}
	if op.access == everyone {
		return out
	}
	names := []string{"400", "401", "403", "429", "500", "503"}
	if strings.Contains(op.path, "{") || op.in != typeNone {
		names = append(names, "404")
	}
	if op.method != http.MethodGet {
		names = append(names, "409")
	}
	if op.in != typeNone {
		names = append(names, "413")
	}
	names = append(names, "422")
	for _, name := range names {
		out[name] = object{"$ref": "#/components/responses/" + name}
	}
	return out
}

// failures are the answers that every operation may give.
func failures() object {
	fail := func(description, schema string) object {
		return object{"description": description, "content": jsonContent(object{"$ref": "#/components/schemas/" + schema})}
	}
	retry := func(o object) object {
		o["headers"] = object{"Retry-After": object{"schema": object{"type": "integer"}, "description": "Seconds to wait."}}
		return o
	}
	return object{
		"400": fail("What is asked makes no sense.", "HTTPError"),
		"401": fail("No valid key or token.", "HTTPError"),
		"403": fail("The key may not do this.", "HTTPError"),
		"404": fail("There is no such thing.", "HTTPError"),
		"409": fail("Something is in the way.", "HTTPError"),
		"413": fail("The body is too large.", "HTTPError"),
		"422": fail("Some input is wrong: which, and why.", "HTTPValidationError"),
		"429": retry(fail("Too fast.", "HTTPError")),
		"500": object{"description": "Our fault. It is logged under the answer's x-request-id.", "content": jsonContent(object{"type": "object"})},
		"503": retry(fail("Overloaded, or the disk cannot take more: nothing was kept.", "HTTPError")),
	}
}

// deliveryWebhook is what an endpoint receives.
func deliveryWebhook() object {
	header := func(name, doc string) object {
		return object{"name": name, "in": "header", "required": true, "schema": object{"type": "string"}, "description": doc}
	}
	return object{"post": object{
		"operationId": "hark.delivery",
		"summary":     "A message, on its way to an endpoint",
		"description": "Signed as Standard Webhooks says. Verify the signature over the raw body before reading it, and treat a repeated webhook-id as the same message.",
		"security":    []object{},
		"parameters": []object{
			header("webhook-id", "The message's id: the same on every attempt."),
			header("webhook-timestamp", "When this attempt was made, in seconds since 1970."),
			header("webhook-signature", "One or more of v1,<base64 HMAC-SHA256> and v1a,<base64 ed25519>, with spaces between, over id.timestamp.body."),
		},
		"requestBody": object{"required": true, "content": jsonContent(object{"type": "object", "description": "The message's payload, byte for byte as it was published."})},
		"responses": object{
			"2XX":     object{"description": "Received: the delivery has succeeded."},
			"410":     object{"description": "Nobody is here any more: the endpoint is disabled."},
			"429":     object{"description": "Too fast: tried again later, not before Retry-After."},
			"default": object{"description": "Anything else, redirects included, and no answer in time: tried again on the endpoint's schedule."},
		},
	}}
}

// schemas are the types of bodies, by name.
type schemas map[string]any

var (
	rawType   = reflect.TypeFor[json.RawMessage]()
	clockType = reflect.TypeFor[time.Time]()
)

// of describes a type; structs with a name go to the components. answer says that it is one that
// Hark writes: then a field that is always there is required.
func (s schemas) of(t reflect.Type, answer bool) object {
	switch {
	case t == clockType:
		return object{"type": "string", "format": "date-time"}
	case t == rawType:
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return orNullSchema(s.of(t.Elem(), answer))
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem(), answer)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem(), answer)}
	case reflect.Struct:
		name := schemaName(t)
		if _, known := s[name]; !known {
			s[name] = object{} // ends the recursion of a type that contains itself
			s[name] = s.structure(t, answer)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	return object{"type": "integer"}
}

// isOpt says whether t is a manage.Opt of something.
func isOpt(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasPrefix(t.Name(), "Opt[")
}

func orNullSchema(schema object) object {
	if name, ok := schema["type"].(string); ok {
		schema = maps.Clone(schema)
		schema["type"] = []string{name, "null"}
		return schema
	}
	if len(schema) == 0 {
		return schema
	}
	return object{"oneOf": []object{schema, {"type": "null"}}}
}

// schemaName is the type's name; ListResponse[api.X] is ListResponseX.
func schemaName(t reflect.Type) string {
	name, of, generic := strings.Cut(t.Name(), "[")
	if generic {
		name += strings.TrimSuffix(of[strings.LastIndexByte(of, '.')+1:], "]")
	}
	return name
}

func (s schemas) structure(t reflect.Type, answer bool) object {
	properties := object{}
	required := []string{}
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || field.Tag.Get("schema") == "-" {
			continue // embedded: its fields follow by themselves
		}
		properties[name] = s.property(field, answer)
		if field.Tag.Get("req") != "" || answer && options == "" {
			required = append(required, name)
		}
	}
	out := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	return out
}

func (s schemas) property(field reflect.StructField, answer bool) object {
	t, nullable := field.Type, field.Tag.Get("null") != ""
	if isOpt(t) {
		value, _ := t.FieldByName("Value")
		t, nullable = value.Type, field.Tag.Get("req") == ""
	}
	schema := s.of(t, answer)
	if kind := field.Tag.Get("schema"); kind != "" {
		schema = object{"type": kind}
	}
	if nullable {
		schema = orNullSchema(schema)
	}
	if values := field.Tag.Get("enum"); values != "" {
		schema["enum"] = strings.Split(values, ",")
	}
	if doc := field.Tag.Get("doc"); doc != "" {
		schema["description"] = doc
	}
	return schema
}
