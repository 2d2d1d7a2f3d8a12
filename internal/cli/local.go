package cli

import (
	"context"
	"crypto/rand"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/observe"
)

// local is a server in this process.
type local struct {
	server *app.App
	api    *client
	key    string        // of an administrator; it opens the server as long as this process runs
	ended  chan struct{} // closed at its end
	err    error         // what it ended with, after that
	stop   context.CancelFunc
}

// startLocal starts a server as hark serve does. It runs until close, also when ctx has ended before.
func startLocal(ctx context.Context, conf config.Config) (*local, error) {
	key := "hark_local_" + rand.Text()
	conf.BootstrapKey = config.Secret(key)
	server, err := app.New(ctx, app.Options{Build: observe.ReadBuild(), Config: conf})
	if err != nil {
		return nil, explainStart(err, conf)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &local{server: server, api: newClient(server.URL(), key), key: key, ended: make(chan struct{}), stop: stop}
	go func() {
		defer close(l.ended)
		l.err = server.Run(running)
	}()
	return l, nil
}

// close stops the server and waits for its end.
func (l *local) close() error {
	l.stop()
	<-l.ended
	return l.err
}
