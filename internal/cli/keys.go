package cli

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
)

type keysCmd struct {
	List   keysList   `cmd:"" default:"withargs" help:"List the environment's keys."`
	Create keysCreate `cmd:"" help:"Create a key; it is shown this once."`
	Rotate keysRotate `cmd:"" help:"Replace a key by a new one; the old one goes on for a while."`
	Revoke keysRevoke `cmd:"" help:"End a key at once."`
}

// Help is shown by hark keys --help.
func (keysCmd) Help() string {
	return `A key opens one environment. Only a hash of it is kept: a key that is lost cannot be shown
again, only replaced.

Examples:

  hark keys
  hark keys create "billing service" --scope publish
  hark keys create recovered --data ./hark-data      (every key is lost; the server must be stopped)`
}

func aKey(id string) named { return named{"key", id, "hark keys", path("key", id)} }

type keysList struct {
	Remote
	Listing
}

// Help is shown by hark keys list --help.
func (keysList) Help() string { return "Example:\n\n  hark keys list" }

// Run lists keys.
func (c *keysList) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	now := time.Now()
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/key"}, func(keys []keyOut) *table {
		t := newTable("ID", "NAME", "SCOPE", "APPLICATION", "KEY", "STATE", "CREATED", "EXPIRES")
		for _, k := range keys {
			t.add(k.ID, k.Name, k.Scope, join(list1(k.ApplicationID), "all"), k.Prefix+"…", k.state(now),
				clock(k.CreatedAt), clock(moment(k.ExpiresAt)))
		}
		return t
	})
}

func list1(p *string) []string {
	if text(p) == "" {
		return nil
	}
	return []string{*p}
}

type keysCreate struct {
	Remote
	Name        string        `arg:"" help:"What it is for."`
	Scope       string        `enum:"admin,publish,read" default:"admin" help:"admin may do everything, publish send and read, read only read."`
	App         string        `short:"a" placeholder:"ID" help:"Only this application."`
	Expires     time.Duration `placeholder:"DURATION" help:"End by itself after this."`
	Data        string        `type:"path" placeholder:"DIR" help:"Write to this data folder instead of asking a server, which must be stopped. For when every key is lost."`
	Database    config.Secret `placeholder:"URL" help:"Write to this database instead of asking a server. For when every key is lost."`
	Environment string        `default:"live" help:"With --data or --database: the environment's name or id."`
}

// Help is shown by hark keys create --help.
func (keysCreate) Help() string {
	return `Only the key goes to stdout, so that it can be piped.

Examples:

  hark keys create "billing service" --scope publish
  HARK_API_KEY=$(hark keys create recovered --data ./hark-data)`
}

// Run creates a key.
func (c *keysCreate) Run(ctx context.Context, sh *shell) error {
	if c.Data != "" || c.Database != "" {
		return c.offline(ctx, sh)
	}
	in := map[string]any{"name": c.Name, "scope": c.Scope}
	setIf(in, "applicationId", c.App, c.App != "")
	setIf(in, "expiresAt", time.Now().Add(c.Expires).UTC(), c.Expires > 0)
	return answer(ctx, sh, c, c.JSON, question{about: anApplication(c.App).at("/key"), method: http.MethodPost, in: in}, sh.drawNewKey)
}

// drawNewKey shows a key this once: the key to stdout, the rest beside it.
func (sh *shell) drawNewKey(k keyOut) {
	sh.say("%s", k.Key)
	sh.note("%s (%s, %s). It is not kept and will not be shown again.", k.ID, k.Name, k.Scope)
}

// offline makes a key without a server: in a data folder that none is using, or in a database.
func (c *keysCreate) offline(ctx context.Context, sh *shell) error {
	if c.App != "" {
		return usagef("hark keys create NAME --data DIR", "--app needs a server; without one a key is for the whole environment")
	}
	key, err := app.IssueKey(ctx, config.Config{Data: c.Data, Database: c.Database}, app.KeyRequest{
		Environment: c.Environment, Name: c.Name, Scope: hark.Scope(c.Scope), Lifetime: c.Expires,
	})
	if errors.Is(err, app.ErrInUse) {
		return hintf(exitFailed, "stop the server, or leave out --data", "a server is using %s", c.Data)
	}
	if errors.Is(err, hark.ErrNotFound) {
		return hintf(exitNotFound, "--environment live, or test", "there is no environment %q", c.Environment)
	}
	if err != nil {
		return explainDatabase(err)
	}
	out := keyOut{
		ID: string(key.Key.ID), Name: key.Key.Name, Scope: string(key.Key.Scope), Prefix: key.Key.Prefix,
		Key: key.Text, CreatedAt: key.Key.CreatedAt,
	}
	if at := key.Key.ExpiresAt; !at.IsZero() {
		out.ExpiresAt = &at
	}
	if c.JSON {
		return sh.json(out)
	}
	sh.drawNewKey(out)
	return nil
}

type keysRotate struct {
	Remote
	ID      string        `arg:"" help:"The key's id (key_…)."`
	Overlap time.Duration `default:"24h" help:"How long the old key goes on working; 0s ends it at once."`
}

// Help is shown by hark keys rotate --help.
func (keysRotate) Help() string { return "Example:\n\n  hark keys rotate key_… --overlap 1h" }

// Run rotates a key.
func (c *keysRotate) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"overlapSeconds": int(c.Overlap.Seconds())}
	return answer(ctx, sh, c, c.JSON, question{about: aKey(c.ID), path: "/rotate", method: http.MethodPost, in: in}, sh.drawNewKey)
}

type keysRevoke struct {
	Remote
	ID string `arg:"" help:"The key's id (key_…)."`
}

// Help is shown by hark keys revoke --help.
func (keysRevoke) Help() string { return "Example:\n\n  hark keys revoke key_…" }

// Run revokes a key.
func (c *keysRevoke) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: aKey(c.ID), method: http.MethodDelete}, "revoked")
}
