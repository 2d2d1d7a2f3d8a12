package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// apiRoot is where all of the API is.
const apiRoot = "/api/v1"

// question is what a command asks the API.
type question struct {
	about  named  // what there is none of when the answer is 404
	path   string // behind that of the thing; where it is about none, of its own
	method string // GET when left out
	query  url.Values
	in     any
}

// named is a thing that a command was asked for, the command that lists its kind, and where the API has it.
type named struct{ kind, id, list, path string }

func anApplication(id string) named {
	return named{"application", id, "hark applications", path("app", id)}
}
func anEndpoint(id string) named {
	return named{"endpoint", id, "hark endpoints", path("endpoint", id)}
}
func aMessage(id string) named { return named{"message", id, "hark messages", path("msg", id)} }

// path is a path of these parts, whatever is in them.
func path(parts ...string) string {
	var all string
	for _, p := range parts {
		all += "/" + url.PathEscape(p)
	}
	return all
}

// explain makes a 404 say that there is no such thing.
func (n named) explain(err error) error {
	if n.id == "" || !isMissing(err) {
		return err
	}
	return errNo(n.kind, n.id, n.list)
}

// at is the thing, looked for elsewhere.
func (n named) at(path string) named {
	n.path = path
	return n
}

// errNo says that there is no such thing.
func errNo(kind, id, list string) error {
	return hintf(exitNotFound, list, "no %s %q", kind, id)
}

// asker is whoever can ask: a client, or a command, which finds the server and the application first.
type asker interface {
	ask(ctx context.Context, q question, out any) error
}

// ask sends a question, with an answer that says what was not found.
func (c *client) ask(ctx context.Context, q question, out any) error {
	return q.about.explain(c.send(ctx, apiRoot, q, out))
}

// send is do with a question, below a root.
func (c *client) send(ctx context.Context, root string, q question, out any) error {
	return c.do(ctx, cmp.Or(q.method, http.MethodGet), root+q.about.path+q.path, q.query, q.in, out)
}

// answer asks, and answers with what comes back.
func answer[T any](ctx context.Context, sh *shell, api asker, asJSON bool, q question, draw func(T)) error {
	var raw json.RawMessage
	if err := api.ask(ctx, q, &raw); err != nil {
		return err
	}
	return showing(sh, asJSON, raw, draw)
}

// confirm asks for something to be done, and says that it was.
func confirm(ctx context.Context, sh *shell, api asker, asJSON bool, q question, what string) error {
	if err := api.ask(ctx, q, nil); err != nil {
		return err
	}
	return sh.done(asJSON, what, q.about.id)
}

// showing answers with one thing: its JSON as the server gave it, or what draw makes of it.
func showing[T any](sh *shell, asJSON bool, raw json.RawMessage, draw func(T)) error {
	if asJSON {
		return sh.json(raw)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return hintf(exitFailed, "check HARK_URL", "the server does not answer like Hark: %w", err)
	}
	draw(v)
	return nil
}

// listing runs a list command: fetch, then JSON or a table.
func listing[T any](ctx context.Context, sh *shell, api asker, asJSON bool, l Listing, q question, draw func([]T) *table) error {
	if l.Limit < 1 {
		return usagef("--limit 50", "--limit must be 1 or more, not %d", l.Limit)
	}
	bar := sh.newProgress("reading")
	if asJSON {
		all, err := list[json.RawMessage](ctx, api, q, l, bar)
		if err != nil {
			return err
		}
		if all.Data == nil {
			all.Data = []json.RawMessage{}
		}
		return sh.json(all)
	}
	all, err := list[T](ctx, api, q, l, bar)
	if err != nil {
		return err
	}
	draw(all.Data).write(sh)
	if !all.Done && all.Iterator != nil {
		sh.note("There is more (try: --limit %d, or --iterator %s)", l.Limit*4, *all.Iterator)
	}
	return nil
}
