package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// query reads a request's query. The first thing wrong with it stays in err; the readers answer
// zero values from then on, so that a handler asks once, at the end.
type query struct {
	values url.Values
	err    error
}

func (c *call) query() *query {
	q := new(query)
	if c.r.URL.RawQuery == "" {
		return q
	}
	var err error
	if q.values, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		q.err = hark.Errorf(hark.BadRequest, "the query cannot be read: %v", err)
	}
	return q
}

func (q *query) malformed(name, want string) {
	if q.err == nil {
		q.err = hark.Errorf(hark.BadRequest, "query parameter %s must be %s", name, want)
	}
}

// text is a parameter as it stands, "" when it is not there.
func (q *query) text(name string) string { return q.values.Get(name) }

// flag is true or false, or what it is by default when it is not there.
func (q *query) flag(name string, byDefault bool) bool {
	switch v := q.values.Get(name); v {
	case "":
		return byDefault
	case "true":
		return true
	case "false":
		return false
	default:
		q.malformed(name, "true or false")
		return byDefault
	}
}

// number is nil when the parameter is not there.
func (q *query) number(name string) *int {
	v := q.values.Get(name)
	if v == "" {
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		q.malformed(name, "a number")
		return nil
	}
	i := int(n)
	return &i
}

// moment is the zero time when the parameter is not there.
func (q *query) moment(name string) time.Time {
	v := q.values.Get(name)
	if v == "" {
		return time.Time{}
	}
	at, ok := parseTime(v)
	if !ok {
		q.malformed(name, "a time such as 2026-01-31T15:04:05Z")
	}
	return at
}

// parseTime reads RFC 3339, and the form "2026-01-31 15:04:05 UTC" that some clients send.
func parseTime(v string) (time.Time, bool) {
	// A plus sign that was not escaped has become a space.
	if i := len(v) - len(" 00:00"); i > 0 && v[i] == ' ' && strings.Contains(v, "T") {
		v = v[:i] + "+" + v[i+1:]
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 MST"} {
		if at, err := time.Parse(layout, v); err == nil && (layout == time.RFC3339Nano || strings.HasSuffix(v, " UTC")) {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// list reads a list in any of its spellings: name=a,b and name=a&name=b and name[]=a and name[0]=a.
func (q *query) list(name string) []string {
	var list []string
	add := func(values []string) {
		for _, v := range values {
			for item := range strings.SplitSeq(v, ",") {
				if item != "" {
					list = append(list, item)
				}
			}
		}
	}
	add(q.values[name])
	add(q.values[name+"[]"])
	for _, key := range slices.Sorted(maps.Keys(q.values)) {
		if inside, ok := strings.CutPrefix(key, name+"["); ok && len(inside) > 1 && strings.Trim(inside, "0123456789") == "]" {
			add(q.values[key])
		}
	}
	return list
}

// page reads limit, iterator and order.
func (q *query) page() manage.ListIn {
	in := manage.ListIn{Iterator: q.text("iterator")}
	if n := q.number("limit"); n != nil {
		if *n == 0 && q.err == nil {
			q.err = hark.InvalidField("must be 1 to 250", "query", "limit")
		}
		in.Limit = *n
	}
	switch v := q.values.Get("order"); v {
	case "":
	case "ascending", "descending":
		descending := v == "descending"
		in.Descending = &descending
	default:
		q.malformed("order", "ascending or descending")
	}
	return in
}

// ListResponse is one page of a list.
type ListResponse[T any] struct {
	Data []T `json:"data"`
	ListFrame
}

// ListFrame is all of a list but its data.
type ListFrame struct {
	Iterator     *string `json:"iterator" doc:"Ask with it for what follows; null when the page is empty."`
	PrevIterator *string `json:"prevIterator,omitempty" doc:"Ask with it for what comes before."`
	Done         bool    `json:"done" doc:"Nothing follows."`
}

func frameOf[T any](page manage.Page[T]) ListFrame {
	out := ListFrame{Done: page.Done}
	if page.Iterator != "" {
		out.Iterator = &page.Iterator
	}
	if page.PrevIterator != "" {
		out.PrevIterator = &page.PrevIterator
	}
	return out
}

// listOf turns a page into its wire form.
func listOf[T, Out any](page manage.Page[T], wire func(*T) Out) ListResponse[Out] {
	out := ListResponse[Out]{Data: make([]Out, len(page.Items)), ListFrame: frameOf(page)}
	for i := range page.Items {
		out.Data[i] = wire(&page.Items[i])
	}
	return out
}
