package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/observe"
)

// Limits of the HTTP server. A client that is slower than these holds a connection for nothing.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second // not for profiles, which take as long as they are told to
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	// finishRequests is how long requests may go on after the stop; all but a long list are done in
	// milliseconds.
	finishRequests = 5 * time.Second
)

// listen opens the listeners. Connections wait in their backlog until Run.
func (a *App) listen() error {
	for _, l := range []struct{ name, addr string }{
		{"api", a.config.Addr}, {"metrics", a.config.MetricsAddr}, {"pprof", a.config.Pprof},
	} {
		if l.addr == "" {
			continue
		}
		if err := a.open(l.name, l.addr); err != nil {
			return err
		}
	}
	a.addr = a.servers[0].listener.Addr()
	return nil
}

// mount says what answers on which listener.
func (a *App) mount(api http.Handler) {
	metrics := observe.MetricsHandler(a.metrics, a.log)
	main := a.trace.Wrap(api)
	if a.config.MetricsAddr == "" {
		// Not a ServeMux: that would answer odd paths by itself, and not in JSON.
		inner := main
		main = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" && r.Method == http.MethodGet {
				metrics.ServeHTTP(w, r)
				return
			}
			inner.ServeHTTP(w, r)
		})
	}
	main = a.withSources(main)
	apart := http.NewServeMux()
	apart.Handle("GET /metrics", metrics)
	handlers := map[string]http.Handler{"api": main, "metrics": apart, "pprof": profiling()}
	for _, s := range a.servers {
		s.http.Handler = handlers[s.name]
		if s.name == "pprof" {
			s.http.WriteTimeout = 0
		}
	}
}

// withSources sends what providers send to the sources, and to who listens at the relay. It is not
// traced: a span for each would say less than the request that is kept, and the path is a secret.
func (a *App) withSources(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.relay != nil && a.relay.Takes(r) {
			a.relay.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, ingest.Prefix) {
			a.ingest.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// profiling is net/http/pprof without its registering in the default mux.
func profiling() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// open opens one listener.
func (a *App) open(name, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", name, err)
	}
	s := server{name: name, listener: listener, http: &http.Server{
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug), // strangers cause these
	}}
	a.servers = append(a.servers, s)
	a.atEnd(func() error {
		_ = listener.Close() // the server has closed it already, unless it never ran
		return nil
	})
	return nil
}

// serve answers until ctx ends, then lets requests finish.
func serve(ctx context.Context, s server) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishRequests)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		_ = s.http.Close() // what is still going on after the grace is cut off: it was not answered 2xx
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
