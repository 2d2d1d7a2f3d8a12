package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS []byte

// docs are the pages for people and the document for tools, both made from the table when they
// are first asked for.
type docs struct {
	document func() []byte
	html     func() []byte
}

func newDocs(table []operation) *docs {
	return &docs{
		document: sync.OnceValue(func() []byte { return openAPIText(table) }),
		html:     sync.OnceValue(func() []byte { return docsText(table) }),
	}
}

// openAPIText is the document as it is served and as it is kept in openapi.json.
func openAPIText(table []operation) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(openAPI(table)); err != nil {
		panic(err) // it is made of maps and strings
	}
	return b.Bytes()
}

func (d *docs) openapi(c *call) error {
	c.out.Write(d.document())
	return nil
}

func (d *docs) page(c *call) error {
	h := c.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	c.out.Write(d.html())
	return nil
}

func (d *docs) style(c *call) error {
	c.Header().Set("Content-Type", "text/css; charset=utf-8")
	c.Header().Set("X-Content-Type-Options", "nosniff")
	c.out.Write(docsCSS)
	return nil
}

// Shapes of the page.
type (
	docsGroup struct {
		Name, Anchor string
		Operations   []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary, Doc, Status, Access string
		Query                                          []docsField
		In, Out                                        *docsBody
	}
	docsBody struct {
		Name   string
		Fields []docsField
	}
	docsField struct {
		Name, Type, Doc string
		Required        bool
	}
)

func docsText(table []operation) []byte {
	schemas := schemas{}
	var groups []docsGroup
	for i := range table {
		op := &table[i]
		if op.hidden {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1].Name != op.tag {
			groups = append(groups, docsGroup{Name: op.tag, Anchor: strings.ReplaceAll(strings.ToLower(op.tag), " ", "-")})
		}
		group := &groups[len(groups)-1]
		group.Operations = append(group.Operations, describeForPeople(op, schemas))
	}
	var b bytes.Buffer
	page := template.Must(template.New("docs").Parse(docsHTML))
	if err := page.Execute(&b, groups); err != nil {
		panic(err) // the template and its data are both ours
	}
	return b.Bytes()
}

func describeForPeople(op *operation, schemas schemas) docsOperation {
	out := docsOperation{ID: op.id, Method: op.method, Path: op.fullPath(), Summary: op.summary, Doc: op.doc}
	for _, p := range op.query {
		out.Query = append(out.Query, docsField{Name: p.name, Doc: p.doc})
	}
	for i, status := range op.status {
		if i > 0 {
			out.Status += " or "
		}
		out.Status += strconv.Itoa(status)
	}
	switch op.access {
	case everyone:
		out.Access = "no key needed"
	case customer:
		out.Access = "keys, and application tokens"
	case operator:
		out.Access = "keys of the environment"
	}
	if op.in != typeNone {
		out.In = docsBodyOf(schemas.of(op.in, false), schemas)
	}
	if op.out != typeNone && op.out != typeOctets {
		out.Out = docsBodyOf(schemas.of(op.out, true), schemas)
	}
	return out
}

func docsBodyOf(ref object, schemas schemas) *docsBody {
	text, _ := ref["$ref"].(string)
	name := text[strings.LastIndexByte(text, '/')+1:]
	schema, _ := schemas[name].(object)
	properties, _ := schema["properties"].(object)
	required, _ := schema["required"].([]string)
	body := &docsBody{Name: name}
	for _, field := range slices.Sorted(maps.Keys(properties)) {
		p, _ := properties[field].(object)
		doc, _ := p["description"].(string)
		body.Fields = append(body.Fields, docsField{Name: field, Type: typeText(p), Doc: doc, Required: slices.Contains(required, field)})
	}
	return body
}

// typeText is a schema in a word or two.
func typeText(schema object) string {
	switch t := schema["type"].(type) {
	case string:
		if items, ok := schema["items"].(object); ok {
			return "list of " + typeText(items)
		}
		return t
	case []string:
		return strings.Join(t, " or ")
	}
	if ref, ok := schema["$ref"].(string); ok {
		return ref[strings.LastIndexByte(ref, '/')+1:]
	}
	if either, ok := schema["oneOf"].([]object); ok {
		return typeText(either[0]) + " or null"
	}
	return "any"
}
