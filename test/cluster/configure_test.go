package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/harkhq/hark/test/harness"
	"github.com/harkhq/hark/test/witness"
)

// configurer changes the configuration while faults are made: whatever was answered through one node
// must count at once for what is published through another.
type configurer struct {
	nodes     []*node
	publisher *witness.Publisher
	receiver  *witness.Receiver
	made      []endpoint
	stories   atomic.Int64
}

// endpoint is one that the receiver knows.
type endpoint struct{ app, id, path string }

// run tells one story after the other until ctx ends.
func (c *configurer) run(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		if err := c.story(ctx, i); err != nil && ctx.Err() == nil {
			return fmt.Errorf("story %d: %w", i, err)
		}
		time.Sleep(between(100*time.Millisecond, 500*time.Millisecond))
	}
	return nil
}

// story makes an application, publishes without an endpoint, with one, and with one that does not want
// it any more. Every step goes through a node of its own, and comes right after the answer to the one
// before.
func (c *configurer) story(ctx context.Context, i int) error {
	name := fmt.Sprint("story-", i)
	if err := c.call(ctx, http.MethodPost, "/api/v1/app", map[string]any{"name": name, "uid": name}, http.StatusCreated, nil); err != nil {
		return err
	}
	app := witness.App{ID: name}
	c.publish(ctx, app) // the application is known there, without endpoints
	c.publish(ctx, app)
	at := endpoint{app: name, id: "e", path: "/" + name}
	settings := map[string]any{"uid": at.id, "url": c.receiver.URL + at.path, "secret": secret, "concurrency": concurrency, "retrySchedule": schedule}
	if err := c.receiver.Trust(at.path, secret); err != nil {
		return err
	}
	of := "/api/v1/app/" + name + "/endpoint"
	if err := c.call(ctx, http.MethodPost, of, settings, http.StatusCreated, nil); err != nil {
		return err
	}
	c.made = append(c.made, at)
	app.To = []string{at.path}
	c.publish(ctx, app)
	c.publish(ctx, app)
	if err := c.call(ctx, http.MethodPatch, of+"/e", map[string]any{"filterTypes": []string{"witness.other"}}, http.StatusOK, nil); err != nil {
		return err
	}
	app.To = nil
	c.publish(ctx, app)
	c.publish(ctx, app)
	c.stories.Add(1)
	return nil
}

// secret is that of all endpoints of the stories.
const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// publish publishes through any node and waits for an answer, so that what comes next comes after it.
func (c *configurer) publish(ctx context.Context, app witness.App) {
	c.publisher.Publish(ctx, app, rand.IntN(len(c.nodes)))
}

// call makes one call through any node, and again through others until there is an answer. That the
// thing is there already is one to a call that was made before.
func (c *configurer) call(ctx context.Context, method, path string, in any, want int, out any) error {
	for try := 0; ; try++ {
		err := ctx.Err()
		if err != nil {
			return err
		}
		status, err := c.once(ctx, c.nodes[rand.IntN(len(c.nodes))].client, method, path, in, out)
		switch {
		case err == nil && (status == want || status == http.StatusConflict && try > 0):
			return nil
		case err == nil && status != http.StatusServiceUnavailable:
			return fmt.Errorf("%s %s = %d, want %d", method, path, status, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *configurer) once(ctx context.Context, client *harness.Client, method, path string, in, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return client.Do(ctx, method, path, in, out)
}
