// Package cli is the hark command: a server (serve, demo), the same operations as the API for
// people and scripts (send, messages, endpoints, …), and tools for whoever runs it (backup, doctor).
//
// Its manners: answers go to stdout, everything else to stderr; --json gives the API's own JSON; a
// table is aligned for people and cut only on a terminal; there is no colour when NO_COLOR is set
// or nobody looks; errors are one sentence with a hint; and the exit code says what happened:
//
//	0 done   1 failed   2 wrong usage   3 no such thing   4 server out of reach   5 not allowed
//
// It asks for one thing only, login for a key, and only on a terminal: so every command can stand in a
// script. It tells nobody what it was used for.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/harkhq/hark/internal/config"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnreachable = 4
	exitForbidden   = 5
)

// commands is the command line: kong reads its tags.
type commands struct {
	Config string `type:"path" env:"HARK_CONFIG" placeholder:"FILE" help:"YAML file with settings: flag names with _ for -, one per line."`

	Demo  demoCmd  `cmd:"" group:"server" help:"Watch the worked example: a payment becomes a signed webhook, and an order is fulfilled once."`
	Dev   devCmd   `cmd:"" group:"server" help:"Run a server for development, and bring what it gets to a program on this machine."`
	Serve serveCmd `cmd:"" group:"server" help:"Run the server."`

	Login    loginCmd    `cmd:"" group:"account" help:"Keep a server and an API key as a profile that every command uses."`
	Logout   logoutCmd   `cmd:"" group:"account" help:"Forget a profile."`
	Profiles profilesCmd `cmd:"" group:"account" help:"List profiles, and choose one."`
	Whoami   whoamiCmd   `cmd:"" group:"account" help:"Say which server and key are used, and what the key opens."`

	Send            sendCmd            `cmd:"" group:"api" help:"Send a message to an application's endpoints."`
	Listen          listenCmd          `cmd:"" group:"api" help:"Bring messages to a program on this machine: nothing is lost, signatures verify."`
	Trigger         triggerCmd         `cmd:"" group:"api" help:"Send an example event of Stripe, GitHub, Shopify, Slack, …, signed as they sign."`
	Fixtures        fixturesCmd        `cmd:"" group:"api" help:"Run a file of steps: example events, and calls to an API in between."`
	Messages        messagesCmd        `cmd:"" group:"api" help:"List, show, trace and expunge messages."`
	Attempts        attemptsCmd        `cmd:"" group:"api" help:"List and show delivery attempts."`
	Resend          resendCmd          `cmd:"" group:"api" help:"Send messages again, once."`
	Replay          replayCmd          `cmd:"" group:"api" help:"Send past messages again, many at once: what failed, what is missing, or all."`
	Tail            tailCmd            `cmd:"" group:"api" help:"Watch messages, attempts and requests as they happen."`
	Endpoints       endpointsCmd       `cmd:"" group:"api" help:"Manage where messages go."`
	Transformations transformationsCmd `cmd:"" group:"api" help:"Change messages on their way to an endpoint, with JavaScript."`
	Consumers       consumersCmd       `cmd:"" group:"api" help:"Manage where messages wait to be fetched."`
	Consume         consumeCmd         `cmd:"" group:"api" help:"Fetch a consumer's messages."`
	Applications    applicationsCmd    `cmd:"" group:"api" help:"Manage applications."`
	Sources         sourcesCmd         `cmd:"" group:"api" help:"Receive: manage the URLs that providers send to."`
	Pollers         pollersCmd         `cmd:"" group:"api" help:"Ask APIs that have no webhooks, and send messages on a schedule."`
	Requests        requestsCmd        `cmd:"" group:"api" help:"List, show and accept what came in at sources."`
	Inspect         inspectCmd         `cmd:"" group:"api" help:"Make a URL to throw things at, and look at what comes in."`
	EventTypes      eventTypesCmd      `cmd:"" group:"api" help:"Manage event types."`
	Keys            keysCmd            `cmd:"" group:"api" help:"List, create, rotate and revoke API keys."`

	Sign   signCmd   `cmd:"" group:"offline" help:"Sign a payload as Standard Webhooks, or another provider, would. Works offline."`
	Verify verifyCmd `cmd:"" group:"offline" help:"Check a provider's signature, and say plainly why it does not match. Works offline."`
	Check  checkCmd  `cmd:"" group:"offline" help:"Find out whether a receiver is sound: sends it valid, repeated, forged, large and slow deliveries."`

	Nodes   nodesCmd   `cmd:"" group:"operator" help:"List the nodes that share the database, and what each is late with."`
	Migrate migrateCmd `cmd:"" group:"operator" help:"Look at the schema of a PostgreSQL database, or bring it up to date."`
	Backup  backupCmd  `cmd:"" group:"operator" help:"Copy the database to a file, beside a running server."`
	Restore restoreCmd `cmd:"" group:"operator" help:"Make a data folder from a backup."`
	Export  exportCmd  `cmd:"" group:"operator" help:"Write a whole installation to a file, to move it to another store."`
	Import  importCmd  `cmd:"" group:"operator" help:"Make an installation from an exported file, or from a Svix server."`
	Doctor  doctorCmd  `cmd:"" group:"operator" help:"Check a data folder and the server on it."`

	Complete   completeCmd   `cmd:"" hidden:"" group:"about" help:"Print the names of things of the server, for the scripts of hark completion."`
	Completion completionCmd `cmd:"" group:"about" help:"Print a completion script for your shell."`
	Version    versionCmd    `cmd:"" group:"about" help:"Print which build this is."`
}

const description = `Hark sends webhooks: durable before 2xx, signed, retried for three days, everything findable.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such thing, 4 server out of reach, 5 not allowed.`

// Main runs one command line and answers with the exit code. The first interrupt or SIGTERM asks
// the command to finish; the second ends the process.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the default action is back: a second signal kills
	return run(ctx, args, newShell(stdin, stdout, stderr))
}

// run is Main inside a context.
func run(ctx context.Context, args []string, sh *shell) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	exited := -1
	parser, err := newParser(sh, args, func(code int) { exited = code })
	if err != nil {
		return sh.fail(err)
	}
	sh.model, sh.asked = parser.Model, ctx.Done()
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		return sh.fail(asUsage(err, args))
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	if err := kctx.Run(sh); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return 128 + int(syscall.SIGINT)
		}
		return sh.fail(err)
	}
	return exitOK
}

// newParser builds the grammar of a command line.
func newParser(sh *shell, args []string, exit func(int)) (*kong.Kong, error) {
	return kong.New(&commands{},
		kong.IgnoreFields(sh.needless(args)...),
		kong.Name("hark"),
		kong.Description(description),
		kong.Writers(sh.stdout, sh.stderr),
		kong.Exit(exit),
		kong.Bind(sh),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Run it"},
			{Key: "account", Title: "Say which server (or HARK_URL, HARK_API_KEY)"},
			{Key: "api", Title: "Use it"},
			{Key: "offline", Title: "Signatures"},
			{Key: "operator", Title: "Look after it"},
			{Key: "about", Title: "About"},
		}),
		kong.Resolvers(&settings{lookup: sh.lookupEnv}),
	)
}

// needless are the commands, as fields of commands, whose grammar a command line can do without: all but
// the one that it begins with. To build them all takes most of the time of a short command. Only what
// looks at other commands' flags needs them: completion, and the check of a settings file.
func (sh *shell) needless(args []string) []string {
	if file, ok := sh.lookupEnv("HARK_CONFIG"); ok && file != "" {
		return nil
	}
	if strings.HasPrefix(args[0], "-") || args[0] == "completion" ||
		slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--config") }) {
		return nil
	}
	var others []string
	name, known := strings.ReplaceAll(args[0], "-", ""), false
	for field := range reflect.TypeFor[commands]().Fields() {
		switch _, isCommand := field.Tag.Lookup("cmd"); {
		case !isCommand:
		case strings.EqualFold(field.Name, name):
			known = true
		default:
			others = append(others, field.Name)
		}
	}
	if !known {
		return nil
	}
	return []string{`^commands\.(` + strings.Join(others, "|") + `)$`}
}

// asUsage makes a parser's complaint a usage error with a way on.
func asUsage(err error, args []string) error {
	hint := "hark --help"
	for i, a := range args {
		if strings.HasPrefix(a, "-") {
			break
		}
		if i < 2 {
			hint = "hark " + strings.Join(args[:i+1], " ") + " --help"
		}
	}
	if ferr, ok := errors.AsType[*fileError](err); ok { // kong puts the flag it was at in front
		return &usageError{err: ferr.err, hint: "hark serve --help"}
	}
	if perr, ok := errors.AsType[*kong.ParseError](err); ok && perr.Context != nil {
		if cmd := perr.Context.Selected(); cmd != nil {
			hint = cmd.FullPath() + " --help"
		} else {
			hint = "hark --help"
		}
	}
	return &usageError{err: err, hint: hint}
}

// settings resolves flags that are not on the command line: secrets from HARK_X_FILE, then the
// settings file. An environment variable, which kong has read by then, wins over the file.
type settings struct {
	lookup func(string) (string, bool)
	file   *config.File
	read   bool
}

// Validate has nothing to check before the settings file is known.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve finds the value of one flag.
func (s *settings) Resolve(kctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if err := s.readFile(kctx); err != nil {
		return nil, err
	}
	for _, env := range flag.Envs {
		if v, ok := s.lookup(env); ok && v != "" {
			return nil, nil
		}
		if path, ok := s.lookup(env + "_FILE"); ok && path != "" && isSecret(flag) && !hasEnv(kctx.Model.Node, env+"_FILE") {
			return config.ReadSecret(path)
		}
	}
	if s.file == nil {
		return nil, nil
	}
	return s.file.Value(flag.Name, isSecret(flag))
}

// fileError is a settings file that cannot be used.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// readFile reads the file that --config or HARK_CONFIG names, once.
func (s *settings) readFile(kctx *kong.Context) error {
	if s.read {
		return nil
	}
	s.read = true
	var path string
	for _, flag := range kctx.Model.Flags {
		if flag.Name == "config" {
			path, _ = kctx.FlagValue(flag).(string)
		}
	}
	if path == "" {
		return nil
	}
	file, err := config.ReadFile(path)
	if err != nil {
		return &fileError{err}
	}
	s.file = file
	unknown := file.Unknown(func(name string, fromFile bool) bool {
		return hasFlag(kctx.Model.Node, name, fromFile)
	})
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return &fileError{fmt.Errorf("%s: no such setting: %s", path, strings.Join(unknown, ", "))}
	}
	return nil
}

// hasFlag says whether any command has such a flag.
func hasFlag(node *kong.Node, name string, mustBeSecret bool) bool {
	for _, flag := range node.Flags {
		if flag.Name == name && (!mustBeSecret || isSecret(flag)) {
			return true
		}
	}
	return slices.ContainsFunc(node.Children, func(child *kong.Node) bool {
		return hasFlag(child, name, mustBeSecret)
	})
}

// hasEnv says whether a variable is a setting in its own right (HARK_MASTER_KEY_FILE is one: the
// file is made when it is missing), and so not another setting's twin.
func hasEnv(node *kong.Node, env string) bool {
	return slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return slices.Contains(f.Envs, env) }) ||
		slices.ContainsFunc(node.Children, func(child *kong.Node) bool { return hasEnv(child, env) })
}

// isSecret says whether a flag's value may stand in a file of its own.
func isSecret(flag *kong.Flag) bool {
	_, ok := flag.Target.Interface().(config.Secret)
	return ok
}
