// Package svix moves in from a Svix server: it reads an organization's event types, applications and
// endpoints from the server's PostgreSQL database and makes the same in an environment of Hark.
//
// It promises that nothing changes for anybody who calls or receives: ids, uids and signing secrets
// stay, also replaced secrets that are still good. It may be run again and again while both servers
// run: what is as it was stays, what was changed in Svix is changed here, and what was changed here
// since is left alone. It says what it could not take, and why. It refuses to write to Svix's database,
// and to guess a main secret. Messages and attempts are not taken.
package svix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Store is the part of a store that an import reads and writes.
type Store interface {
	store.Environments
	store.Applications
	store.Endpoints
	store.EventTypes
}

// Options say what to import. From is required.
type Options struct {
	From         string // URL of Svix's database
	Organization string // its id; "" when there is only one
	Environment  string // name or id of Hark's environment; made where it is missing
	MainSecret   string // Svix's, if its secrets are encrypted
	DryRun       bool   // write nothing
	// Progress is told how many rows are done.
	Progress func(done int64)
}

// Report says what an import did, or would do.
type Report struct {
	Organization string             `json:"organization"`
	Environment  hark.EnvironmentID `json:"environment"`
	DryRun       bool               `json:"dryRun"`
	EventTypes   Tally              `json:"eventTypes"`
	Applications Tally              `json:"applications"`
	Endpoints    Tally              `json:"endpoints"`
	Notes        []Note             `json:"notes"`
}

// Tally counts what became of one kind.
type Tally struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Kept      int `json:"kept"` // changed here since: left alone
	Skipped   int `json:"skipped"`
}

// Note is something that people should know: what was not taken as it is, and why.
type Note struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// AmbiguousError says that there is more than one organization, or none, and which.
type AmbiguousError struct{ Organizations []Organization }

func (e *AmbiguousError) Error() string {
	if len(e.Organizations) == 0 {
		return "there is no organization in Svix's database"
	}
	names := make([]string, len(e.Organizations))
	for i, o := range e.Organizations {
		names[i] = fmt.Sprintf("%s (%d applications, %d event types)", o.ID, o.Applications, o.EventTypes)
	}
	return fmt.Sprintf("there are %d organizations: %s", len(names), strings.Join(names, ", "))
}

// Import moves an organization in.
func Import(ctx context.Context, to Store, opt Options, now time.Time) (Report, error) {
	if opt.Progress == nil {
		opt.Progress = func(int64) {}
	}
	i := &importer{to: to, opt: opt, now: now, opener: newOpener(opt.MainSecret), applications: map[string]*placed{}, report: Report{DryRun: opt.DryRun, Notes: []Note{}}}
	err := open(ctx, opt.From, func(db *database) error {
		for _, step := range [...]func(context.Context, *database) error{
			i.organization, i.mainSecret, i.environment, i.eventTypes, i.allApplications, i.endpoints, i.leftBehind,
		} {
			if err := step(ctx, db); err != nil {
				return err
			}
		}
		return nil
	})
	return i.report, err
}

// importer is an import under way.
type importer struct {
	to     Store
	opt    Options
	now    time.Time
	opener opener
	done   int64
	env    hark.EnvironmentID
	// applications that were taken, by id.
	applications map[string]*placed
	report       Report
}

// placed is where an application is in Hark; ref is 0 when a dry run would have made it.
type placed struct{ ref hark.Ref }

func (i *importer) note(what, why string, args ...any) {
	i.report.Notes = append(i.report.Notes, Note{what, fmt.Sprintf(why, args...)})
}

func (i *importer) progress() {
	i.done++
	i.opt.Progress(i.done)
}

func (i *importer) organization(ctx context.Context, db *database) error {
	all, err := db.organizations(ctx)
	if err != nil {
		return err
	}
	if i.opt.Organization == "" && len(all) == 1 {
		i.opt.Organization = all[0].ID
	}
	if !slices.ContainsFunc(all, func(o Organization) bool { return o.ID == i.opt.Organization }) {
		return &AmbiguousError{all}
	}
	i.report.Organization = i.opt.Organization
	return nil
}

// mainSecret tries the main secret before anything is written.
func (i *importer) mainSecret(ctx context.Context, db *database) error {
	key, err := db.encryptedKey(ctx)
	if err != nil || key == nil {
		return err
	}
	_, err = i.opener.open(key)
	if errors.Is(err, ErrMainSecret) {
		return ErrMainSecret
	}
	return nil // whatever else is wrong with it is its endpoint's matter
}

// environment finds the environment, or makes it: with the organization's id if it is free, so that
// tokens that were signed for the organization open it.
func (i *importer) environment(ctx context.Context, _ *database) error {
	envs, err := i.to.ListEnvironments(ctx)
	if err != nil {
		return fmt.Errorf("list environments: %w", err)
	}
	own := hark.EnvironmentID(i.opt.Organization)
	taken := false
	for _, env := range envs {
		taken = taken || env.ID == own
		if env.Name == i.opt.Environment || string(env.ID) == i.opt.Environment {
			i.env = env.ID
		}
	}
	if i.env == "" {
		name := i.opt.Environment
		if name == i.opt.Organization {
			name = strings.ToLower(strings.TrimPrefix(name, hark.EnvironmentPrefix))
		}
		i.env = own
		if _, err := hark.ParseID(string(own), hark.EnvironmentPrefix); taken || err != nil {
			i.env = hark.NewEnvironmentID(i.now)
		}
		if !i.opt.DryRun {
			if err := i.to.InsertEnvironment(ctx, hark.Environment{ID: i.env, Name: name, CreatedAt: i.now}); err != nil {
				return fmt.Errorf("make the environment %s: %w", name, err)
			}
		}
	}
	i.report.Environment = i.env
	if i.env != own {
		i.note("tokens", "those that were signed for %s open the environment of that id, not %s: give callers a key of %s, or import into --environment %s",
			own, i.opt.Environment, i.opt.Environment, own)
	}
	return nil
}

// leftBehind names what stays in Svix.
func (i *importer) leftBehind(ctx context.Context, db *database) error {
	n, err := db.operational(ctx, i.opt.Organization)
	if err == nil && n > 0 {
		i.note("operational webhooks", "%d endpoints for operational webhooks were not taken", n)
	}
	return err
}
