// Command server runs the example shop on its own:
//
//	HARK_WEBHOOK_SECRET=whsec_… PAYMENTS_URL=http://127.0.0.1:9000 go run ./examples/shop/server
//
// It listens on 127.0.0.1:3000. Point a Hark endpoint at http://127.0.0.1:3000/webhooks (the server
// needs --allow-private-endpoints for that).
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/harkhq/hark/examples/shop"
)

func main() {
	if err := run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := shop.New(os.Getenv("HARK_WEBHOOK_SECRET"), os.Getenv("PAYMENTS_URL"), func(event, detail string) {
		log.Printf("%-10s %s", event, detail)
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhooks", s)
	server := &http.Server{Addr: "127.0.0.1:3000", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { s.Run(ctx) })
	log.Printf("listening on http://%s/webhooks", server.Addr)
	return server.ListenAndServe()
}
