package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// harkItem is one message as Hark's publish takes it. Its payload is harkPayloadSize bytes of JSON.
const (
	harkItemHead    = `{"eventType":"bench.event","payload":`
	harkItem        = harkItemHead + `{"sentAt":{{now}},"seq":{{seq}},"pad":"{{pad}}"}}`
	harkPayloadSize = 1024
	harkItemSize    = len(harkItemHead) + harkPayloadSize + len("}")
)

// hark is a Hark server under measurement, with what was set up in it.
type hark struct {
	*harness.Server
	others   []*hark   // further nodes on the same database
	database *database // nil: it keeps everything in its folder
	client   *harness.Client
	dir      string
	profiles string // address of its profiles; "" when none are wanted
	apps     []application
}

type application struct {
	id        string
	endpoints []string
}

// startHark starts a server on a fresh folder, or again on that of one that has ended.
func (b *bench) startHark(ctx context.Context, dir string, env ...string) (*hark, error) {
	return b.startServer(ctx, dir, nil, env)
}

func (b *bench) startServer(ctx context.Context, dir string, args, env []string) (*hark, error) {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp(b.dir, "data-"); err != nil {
			return nil, err
		}
	}
	args, profiles := append(args, "--log-level", "warn"), ""
	if b.profile != "" {
		var err error
		if profiles, err = harness.FreeAddr(); err != nil {
			return nil, err
		}
		args = append(args, "--pprof", profiles)
	}
	s, err := harness.Start(ctx, harness.Options{
		Binary: b.hark, Dir: dir, Args: args, Env: env, Ready: 2 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return &hark{Server: s, client: s.Client(), dir: dir, profiles: profiles}, nil
}

// nodes are all servers, h among them.
func (h *hark) nodes() []*hark { return append([]*hark{h}, h.others...) }

func (h *hark) addrs() (addrs []string) {
	for _, node := range h.nodes() {
		addrs = append(addrs, node.Addr)
	}
	return addrs
}

func (h *hark) pids() (pids []int) {
	for _, node := range h.nodes() {
		pids = append(pids, node.PID())
	}
	return pids
}

// end stops the server and removes its folder.
func (h *hark) end() {
	for _, node := range h.others {
		node.end()
	}
	if h.Server == nil {
		return
	}
	h.Kill()
	_ = os.RemoveAll(h.dir) // the folder above is removed as well
}

// setup makes applications with endpoints; url names each endpoint's.
func (h *hark) setup(ctx context.Context, apps, endpoints int, settings map[string]any, url func(app, endpoint int) string) error {
	for i := range apps {
		var a struct{ ID string }
		if err := h.create(ctx, "/api/v1/app", map[string]any{"name": fmt.Sprintf("bench %d", i)}, &a); err != nil {
			return err
		}
		h.apps = append(h.apps, application{id: a.ID})
		for j := range endpoints {
			if err := h.addEndpoint(ctx, i, url(i, j), settings); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hark) addEndpoint(ctx context.Context, app int, url string, settings map[string]any) error {
	in := map[string]any{"url": url}
	for k, v := range settings {
		in[k] = v
	}
	var e struct{ ID string }
	if err := h.create(ctx, "/api/v1/app/"+h.apps[app].id+"/endpoint", in, &e); err != nil {
		return err
	}
	h.apps[app].endpoints = append(h.apps[app].endpoints, e.ID)
	return nil
}

func (h *hark) create(ctx context.Context, path string, in, out any) error {
	status, err := h.client.Do(ctx, http.MethodPost, path, in, out)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("POST %s answered %d, want 201", path, status)
	}
	return nil
}

// load is a load on all applications in turn.
func (h *hark) load(batch int) load {
	l := load{
		Addrs:   h.addrs(),
		Headers: []string{"Authorization: Bearer " + harness.Key},
		Item:    harkItem,
		Size:    harkItemSize,
		Batch:   batch,
		Conns:   64,
	}
	suffix := "/msg"
	if batch > 1 {
		suffix = "/msg/batch"
		l.Envelope = `{"messages":[{{items}}]}`
	}
	for _, a := range h.apps {
		l.Paths = append(l.Paths, "/api/v1/app/"+a.id+suffix)
	}
	return l
}

// recorded is the number of successful attempts in the history, as the statistics of every
// endpoint say.
func (h *hark) recorded(ctx context.Context) (int64, error) {
	if h.database != nil {
		return h.database.recorded(ctx)
	}
	var n int64
	for _, a := range h.apps {
		for _, e := range a.endpoints {
			counts, err := h.client.Stats(ctx, a.id, e)
			if err != nil {
				return 0, err
			}
			n += counts.Success
		}
	}
	return n, nil
}

// databaseBytes is the size of everything in the data folder.
func (h *hark) databaseBytes() int64 {
	var n int64
	_ = filepath.WalkDir(h.dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // a file that went away while we looked
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// bench is what all scenarios share.
type bench struct {
	hark     string // path of the binary
	dir      string // folder on a real disk; removed at the end
	profile  string // where CPU profiles go, without the scenario's name; "" is nowhere
	duration time.Duration
	messages int64 // of history
	backlog  int64
	rate     float64 // of the fairness scenario
	conns    int
	held     time.Duration // how long the held transaction is taken to have been open
}

var errStalled = errors.New("deliveries stalled: the queue did not drain")
