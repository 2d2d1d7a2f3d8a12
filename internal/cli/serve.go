package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/observe"
)

type serveCmd struct {
	config.Config
}

// Help is shown by hark serve --help.
func (serveCmd) Help() string {
	return `Needs no configuration. The first start makes the data folder, the master key, the environments
live and test, and an admin key for each, which is printed once.

Every setting is a flag, an environment variable or a line in the --config file, in this order;
what holds a secret can also be read from a file (HARK_JWT_SECRET_FILE=/run/secrets/jwt).

With --database everything is kept in PostgreSQL instead of the folder, which then holds the master key
only. Any number of nodes may serve one database; all need the same master key. hark nodes lists them.

SIGTERM and ^C drain: nothing new is accepted, attempts in flight go on for --drain, exit 0. A
second signal leaves at once; nothing that was accepted is lost either way.

/metrics is open on the main address, because its labels come from closed sets and name no tenant;
--metrics-addr moves it.

Examples:

  hark serve
  hark serve --data /var/lib/hark --addr 0.0.0.0:8071 --log-format json
  hark serve --database postgres://hark@db/hark --migrate
  hark serve --allow-private-endpoints          (development: deliver to localhost)`
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context, sh *shell) error {
	if err := c.Validate(); err != nil {
		return usagef("hark serve --help", "%w", err)
	}
	log, err := observe.NewLogger(sh.stderr, c.LogLevel, c.LogFormat)
	if err != nil {
		return usagef("hark serve --help", "%w", err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // a twentieth less CPU per message; the heap is small
	}
	build := observe.ReadBuild()
	server, err := app.New(ctx, app.Options{Config: c.Config, Log: log, Build: build})
	if err != nil {
		return explainStart(err, c.Config)
	}
	sh.greet(server, c.Config)
	log.Info("listening", "url", server.URL(), "data", c.Data, "version", build.Version)
	if err := server.Run(ctx); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// explainStart says what to do about the failures that people meet on their first day.
func explainStart(err error, c config.Config) error {
	data, _ := filepath.Abs(c.Data)
	switch {
	case errors.Is(err, app.ErrInUse):
		return hintf(exitFailed, "stop it first, or use another --data",
			"another hark process is using the data folder %s", data)
	case errors.Is(err, app.ErrNotMigrated), errors.Is(err, app.ErrOtherKey), errors.Is(err, app.ErrUnfinished):
		return explainDatabase(err)
	case errors.Is(err, app.ErrNoKey) && c.Database != "":
		return hintf(exitFailed, "copy it from the node that was there first, or set HARK_MASTER_KEY on all of them",
			"the database is in use with a master key that is not here: %w", err)
	case errors.Is(err, app.ErrNoKey):
		return hintf(exitFailed, "put the copy that you kept there, or name it with --master-key-file",
			"there is a database in %s, but not the master key that opens its secrets: %w", data, err)
	case errors.Is(err, syscall.EADDRINUSE):
		return hintf(exitFailed, "another --addr; --addr 127.0.0.1:0 picks a free port",
			"the address is taken: %w", err)
	case isListening(err):
		return hintf(exitFailed, "another --addr; ports below 1024 need a privilege", "%w", err)
	case errors.Is(err, os.ErrPermission):
		return hintf(exitFailed, "another --data, or run as the folder's owner", "%w", err)
	}
	return err
}

func isListening(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// greet prints what a person needs to start: the warning, and on the first start the keys.
func (sh *shell) greet(server *app.App, c config.Config) {
	if c.AllowPrivateEndpoints {
		sh.note("%s", sh.paint(yellow, strings.TrimSpace(`
┌─────────────────────────────────────────────────────────────────────────────┐
│ --allow-private-endpoints: whoever may create an endpoint can make this     │
│ server send requests to loopback and private addresses. For development.    │
└─────────────────────────────────────────────────────────────────────────────┘`)))
	}
	if host, _, err := net.SplitHostPort(c.Addr); err == nil && !isLoopback(host) {
		sh.note("Listening on %s without TLS: put a TLS proxy in front, or API keys travel in the open.", c.Addr)
	}
	if c.Relay && c.Database != "" {
		sh.note("--relay works at each node for itself: svix listen and what is sent to /in/c_… must reach the same one.")
	}
	keys := server.FirstKeys()
	if len(keys) == 0 {
		return
	}
	sh.say("")
	made := c.Data
	if c.Database != "" {
		made = "its first environments in the database"
	}
	sh.say("Hark has made %s. The admin keys are shown this once:", made)
	sh.say("")
	for _, key := range keys {
		sh.say("  %-5s %s", environmentName(server, key), sh.paint(bold, key.Text))
	}
	sh.say("")
	sh.say("Try it:")
	sh.say("")
	sh.say("  export HARK_URL=%s HARK_API_KEY=%s", server.URL(), keys[0].Text)
	sh.say("  hark login %s --api-key $HARK_API_KEY     # keeps both for later", server.URL())
	sh.say(`  curl -X POST $HARK_URL/api/v1/app -H "Authorization: Bearer $HARK_API_KEY" \`)
	sh.say(`       -H 'Content-Type: application/json' -d '{"name":"My first application","uid":"first"}'`)
	sh.say("  hark endpoints create https://example.com/webhooks")
	sh.say("  hark send invoice.paid '{\"id\":\"inv_7\"}' --wait")
	sh.say("")
}

func environmentName(server *app.App, key auth.IssuedKey) string {
	envs := server.Environments()
	if key.Key.EnvironmentID == envs.Test.ID {
		return envs.Test.Name
	}
	return envs.Live.Name
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
