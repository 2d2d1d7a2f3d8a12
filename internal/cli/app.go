package cli

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// InApp is a command inside one application.
type InApp struct {
	Remote
	App string `short:"a" env:"HARK_APP" placeholder:"ID" help:"The application, by id or uid. Default: the profile's, or the only one there is."`
}

// inApp is a client that has found its application.
type inApp struct {
	*client
	app string
}

// open finds the application to work in: the one that was named, or the only one there is.
func (a InApp) open(ctx context.Context) (*inApp, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	if app := cmp.Or(a.App, c.via.app); app != "" {
		return &inApp{client: c, app: app}, nil
	}
	var page listOf[applicationOut]
	if err := c.do(ctx, http.MethodGet, "/api/v1/app", url.Values{"limit": {"2"}}, nil, &page); err != nil {
		return nil, err
	}
	switch len(page.Data) {
	case 0:
		return nil, hintf(exitNotFound, "hark applications create NAME", "there is no application yet")
	case 1:
		return &inApp{client: c, app: page.Data[0].ID}, nil
	}
	return nil, usagef("--app ID, or HARK_APP; hark applications lists them", "there are several applications, so which one?")
}

// path is a path inside the application.
func (c *inApp) path(parts ...string) string {
	return apiRoot + anApplication(c.app).path + path(parts...)
}

// ask is a client's inside the application, with an answer that says what was not found: the thing, or
// the application that it was looked for in.
func (c *inApp) ask(ctx context.Context, q question, out any) error {
	return c.explain(ctx, q.about, c.send(ctx, c.path(), q, out))
}

// ask opens the application, and asks.
func (a InApp) ask(ctx context.Context, q question, out any) error {
	api, err := a.open(ctx)
	if err != nil {
		return err
	}
	return api.ask(ctx, q, out)
}

// explain makes a 404 say what is missing, and where to look.
func (c *inApp) explain(ctx context.Context, thing named, err error) error {
	if e, ok := errors.AsType[*apiError](err); ok && strings.HasPrefix(e.Field, "eventTypes") {
		return &hintError{err: err, code: exitFailed, hint: "hark event-types create NAME"}
	}
	if !isMissing(err) {
		return err
	}
	if e := c.do(ctx, http.MethodGet, c.path(), nil, nil, nil); isMissing(e) {
		return anApplication(c.app).explain(e)
	} else if e != nil {
		return errors.Join(err, e)
	}
	return thing.explain(err)
}
