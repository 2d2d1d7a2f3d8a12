// Package app builds a Hark server from its rooms and runs it.
//
// It is the one place that knows them all. New builds from the ground up and takes down what it
// built when something fails; Run serves until its context ends, and stops in the reverse order:
//
//	stop accepting ─▶ finish requests ─▶ drain deliveries ─▶ replay, retention ─▶ close the store
//
// It promises that what was answered 2xx is in the store when Run returns, whatever was under way.
// It refuses to start on a folder that another process uses (ErrInUse) and on a database whose schema is
// not up to date (ErrNotMigrated), and to read signals or the
// environment: that is the caller's.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/api"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/deliver"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/observe"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/outbox"
	"github.com/harkhq/hark/internal/poll"
	"github.com/harkhq/hark/internal/relay"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/retain"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
	"github.com/harkhq/hark/internal/tunnel"
	"github.com/harkhq/hark/internal/vault"
)

// Options say what to build.
type Options struct {
	Config config.Config
	Log    *slog.Logger // nil is silent
	Build  observe.Build
}

// App is a server: built, listening, not yet answering until Run.
type App struct {
	config  config.Config
	log     *slog.Logger
	metrics *prometheus.Registry
	trace   *observe.Tracing

	store    store.Store
	cluster  store.Cluster // nil: the store is this process's own
	node     store.Node
	engine   *deliver.Engine
	replayer *replay.Replayer
	keeper   *retain.Keeper
	poller   *poll.Runner
	alterer  *alter.Runner
	ingest   *ingest.Ingest
	relay    *relay.Relay // nil: nobody may listen without a key
	streams  *stream.Hub
	manager  *manage.Manager
	taker    *outbox.Taker // nil: applications cannot write to the store
	first    auth.Bootstrapped

	addr    net.Addr
	servers []server
	cleanup []func() error
	closing sync.Once
}

// server is one listener with what answers on it.
type server struct {
	name     string
	listener net.Listener
	http     *http.Server
}

// New opens the data folder and the listeners. It answers ErrInUse when another process has the
// folder. Call Run, or Close, afterwards.
func New(ctx context.Context, opt Options) (_ *App, err error) {
	if err := opt.Config.Validate(); err != nil {
		return nil, err
	}
	a := &App{config: opt.Config, log: opt.Log, metrics: observe.NewRegistry(opt.Build)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.trace, err = observe.NewTracing(ctx, a.config.OTLPEndpoint, opt.Build); err != nil {
		return nil, err
	}
	a.atEnd(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return a.trace.Close(ctx)
	})
	keys, err := a.openStore(ctx)
	if err != nil {
		return nil, err
	}
	// The lock on the folder comes before the port: of two servers started alike, the second hears
	// about the folder, which is the reason.
	if err := a.listen(); err != nil {
		return nil, err
	}
	a.node = newNode(a.addr, opt.Build, time.Now())
	handler, err := a.build(ctx, opt.Build, keys)
	if err != nil {
		return nil, err
	}
	a.mount(handler)
	return a, nil
}

// build makes the rooms, from the engines up to the API.
func (a *App) build(ctx context.Context, build observe.Build, keys *vault.Vault) (http.Handler, error) {
	var err error
	if a.first, err = auth.Bootstrap(ctx, a.store, a.config.BootstrapKey != "", time.Now()); err != nil {
		return nil, err
	}
	networks, err := a.config.Networks()
	if err != nil {
		return nil, err
	}
	policy := outbound.Policy{AllowPrivate: a.config.AllowPrivateEndpoints, Allow: networks, HTTPSOnly: a.config.HTTPSOnly}
	client := outbound.New(outbound.Options{Policy: policy, UserAgent: build.UserAgent()})
	a.atEnd(func() error { client.Close(); return nil })

	dir := directory.New(a.store, directory.Options{})
	a.addAlterer()
	// The engine finds out that an endpoint must go, and manage knows how; each needs the other, and
	// the engine asks only once it runs.
	var manager *manage.Manager
	a.engine = deliver.New(deliver.Options{
		Store: a.store, Directory: dir, Client: client, Alterer: a.alterer, Log: a.log, Metrics: a.metrics,
		Disable: func(ctx context.Context, app, endpoint hark.Ref, reason string) error {
			return manager.TakeOut(ctx, app, endpoint, reason)
		},
		DisableAfter: a.disableAfter(),
		DrainTimeout: max(a.config.Drain, time.Nanosecond), // 0 is an answer here; to the engine it is none

		InFlight: a.config.InFlight, HeaderPrefixes: a.config.HeaderPrefixes(),
		Watch:   a.trace.Attempts(),
		Cluster: a.cluster, Node: a.node, Lease: a.config.Lease,
	})
	a.store.OnQueued(a.engine.Offer)
	a.streams = stream.New(stream.Options{Store: a.store, Log: a.log})
	a.store.OnFed(a.streams.Fed)
	replays := replay.Options{Store: a.store, Directory: dir, Logger: a.log}
	if a.cluster != nil {
		replays.Holds = a.engine.Holds
	}
	a.replayer = replay.New(replays)
	a.keeper = retain.New(retain.Options{Store: a.store, Logger: a.log, Mine: a.isUpkeeper})

	authenticator, err := a.authenticator(keys)
	if err != nil {
		return nil, err
	}
	proxies, err := a.config.Proxies()
	if err != nil {
		return nil, err
	}
	a.ingest = ingest.New(ingest.Options{
		Store: a.store, Directory: dir, URL: a.URL(), Client: outbound.HTTPClient(policy, fetchTimeout),
		Proxies: proxies, Log: a.log, Metrics: a.metrics,
	})
	if a.config.Relay {
		a.relay = relay.New(relay.Options{Caller: a.ingest.Caller})
	}
	a.poller = poll.New(poll.Options{
		Store: a.store, Client: outbound.HTTPClient(policy, pollTimeout), Logger: a.log, Metrics: a.metrics,
		UserAgent: build.UserAgent(), Holds: replays.Holds,
		Publish: func(ctx context.Context, app hark.Ref, messages []poll.Emission) ([]error, error) {
			return manager.PublishFromPoller(ctx, app, messages)
		},
	})
	a.join(dir, authenticator)
	manager = manage.New(manage.Options{
		Store: a.store, Directory: dir, Engine: a.engine, Tokens: authenticator, Replays: a.replayer, Nodes: a.nodes, Streams: a.streams, Pollers: a.poller,
		Logger: a.log, HTTPSOnly: a.config.HTTPSOnly, MaxPayload: a.config.MaxPayload, PortalURL: a.URL() + "/docs",
		Ingest: a.ingest, IngestURL: a.URL(), Transformations: a.alterer,
	})
	a.manager = manager
	a.takeOutbox(manager)
	observe.WatchStore(a.metrics, a.store.Stats)
	tunnels := tunnel.New(tunnel.Options{Store: a.store, Streams: a.streams, HeaderPrefixes: a.config.HeaderPrefixes(), Log: a.log})
	return api.New(api.Options{
		Manage: manager, Auth: authenticator, Guards: a.store, Streams: a.streams, Tunnels: tunnels, RateLimit: a.config.RateLimit, Log: a.log,
		Observe: observe.Requests(a.metrics),
	}), nil
}

// addAlterer makes what applies transformations.
func (a *App) addAlterer() {
	a.alterer = alter.New(alter.Options{Time: a.config.TransformTime, Memory: a.config.TransformMemory, HeaderPrefixes: a.config.HeaderPrefixes()})
	a.atEnd(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return a.alterer.Close(ctx)
	})
}

// authenticator makes what knows whose tokens are whose.
func (a *App) authenticator(keys *vault.Vault) (*auth.Authenticator, error) {
	var publicKey []byte
	if path := a.config.JWTPublicKeyFile; path != "" {
		var err error
		if publicKey, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("read the JWT public key: %w", err)
		}
	}
	tokens := keys.Derive("application tokens")
	return auth.New(auth.Options{
		Store:                a.store,
		JWTSecret:            []byte(a.config.JWTSecret.Reveal()),
		JWTPublicKey:         publicKey,
		TokenSecret:          tokens[:],
		BootstrapKey:         a.config.BootstrapKey.Reveal(),
		BootstrapEnvironment: a.first.Live.ID,
	})
}

// takeOutbox takes what applications put into the database themselves, where it has a table for that.
func (a *App) takeOutbox(to *manage.Manager) {
	box, ok := a.store.(store.Outbox)
	if !ok {
		return
	}
	a.taker = outbox.New(outbox.Options{Store: box, Publisher: to, Logger: a.log, Metrics: a.metrics, Mine: a.isUpkeeper})
	box.OnOutbox(a.taker.Ring)
}

// fetchTimeout bounds the fetching of a provider's key, for which a webhook waits.
const fetchTimeout = 3 * time.Second

// pollTimeout bounds one request of a poller.
const pollTimeout = 30 * time.Second

// disableAfter translates "0 never does" into the engine's word for it.
func (a *App) disableAfter() time.Duration {
	if a.config.DisableAfter == 0 {
		return -1
	}
	return a.config.DisableAfter
}

// FirstKeys are the admin keys that this start made, one per environment, to be shown once; on
// later starts there are none.
func (a *App) FirstKeys() []auth.IssuedKey { return a.first.Keys }

// Environments are the two that every server has.
func (a *App) Environments() auth.Bootstrapped { return a.first }

// PinSource makes the URL of a source of the live environment, but for where the server listens, one that follows
// from a seed: the same at each start, whatever the store.
func (a *App) PinSource(ctx context.Context, source string, seed []byte) error {
	return a.manager.PinSource(ctx, a.first.Live.ID, source, seed)
}

// Addr is where the API listens; with port 0 it is the port that was found.
func (a *App) Addr() net.Addr { return a.addr }

// URL is where people reach the API.
func (a *App) URL() string {
	if a.config.PublicURL != "" {
		return a.config.PublicURL
	}
	return "http://" + a.addr.String()
}

func (a *App) atEnd(f func() error) { a.cleanup = append(a.cleanup, f) }

// Close releases everything, the last opened first. Run does it; call it when Run was not called.
func (a *App) Close() error {
	var errs []error
	a.closing.Do(func() {
		for i := len(a.cleanup) - 1; i >= 0; i-- {
			errs = append(errs, a.cleanup[i]())
		}
	})
	return errors.Join(errs...)
}

// Run serves until ctx ends or something essential fails, then drains and releases everything. It
// answers nil after an orderly stop.
func (a *App) Run(ctx context.Context) error {
	defer func() { _ = a.Close() }()
	// Three layers, each stopped only when the one above it is down: a request may start a replay,
	// and a replay may queue a delivery.
	serving, stopServing := context.WithCancelCause(ctx)
	defer stopServing(nil)
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()

	fail := func(layer context.Context, what string, err error) error {
		if layer.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // it did as it was told
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
			stopServing(err) // one dead engine must not leave a server that only looks alive
		}
		return err
	}
	var engine, tasks, faces errgroup.Group
	engine.Go(func() error { return fail(delivering, "deliver", a.engine.Run(delivering)) })
	// Streams never end by themselves: without this a stop would wait for them in vain.
	defer context.AfterFunc(serving, a.streams.Stop)()
	if a.relay != nil {
		defer context.AfterFunc(serving, a.relay.Stop)()
	}
	if a.cluster != nil {
		tasks.Go(func() error { return fail(background, "streams", a.streams.Run(background)) })
		engine.Go(func() error { return fail(delivering, "watch the other nodes", a.cluster.Watch(delivering)) })
	}
	tasks.Go(func() error { return fail(background, "replay", a.replayer.Run(background)) })
	tasks.Go(func() error { return fail(background, "retention", a.keeper.Run(background)) })
	tasks.Go(func() error { return fail(background, "pollers", a.poller.Run(background)) })
	if a.taker != nil {
		tasks.Go(func() error { return fail(background, "outbox", a.taker.Run(background)) })
	}
	for _, s := range a.servers {
		faces.Go(func() error { return fail(serving, s.name, serve(serving, s)) })
	}
	err := faces.Wait()
	if ctx.Err() != nil {
		a.log.Info("stopping: no new requests, attempts in flight go on", "limit", a.config.Drain)
	}
	stopBackground()
	err = errors.Join(err, tasks.Wait())
	stopDelivering()
	err = errors.Join(err, engine.Wait(), a.Close())
	if cause := context.Cause(serving); err == nil && ctx.Err() == nil && cause != nil {
		err = cause
	}
	return err
}
