package webhook_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/harkhq/hark/webhook"
)

// receive shows a handler what its provider sends, twice, and waits for the work.
func receive(provider, secret string, work func(context.Context, *webhook.Event) error, header http.Header, body string) {
	verifier, err := webhook.NewVerifier(provider, webhook.Options{Secrets: []string{secret}})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	handler, err := webhook.NewHandler(webhook.HandlerOptions{Verifier: verifier, Work: func(ctx context.Context, e *webhook.Event) error {
		defer close(done)
		return work(ctx, e)
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _ = handler.Run(ctx) }()
	signer, err := webhook.NewSigner(provider, webhook.Options{Secrets: []string{secret}})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		sent, err := signer.Sign(webhook.Request{Method: http.MethodPost, URL: "https://example.com/hook", Header: header, Body: []byte(body)}, time.Now())
		if err != nil {
			log.Fatal(err)
		}
		r := httptest.NewRequest(sent.Method, "/hook", strings.NewReader(string(sent.Body)))
		r.Header = sent.Header
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println("answered", w.Code)
		if w.Code == http.StatusOK {
			<-done
		}
	}
}

// A whole receiver: verified, answered before the work, worked on once, also after a crash.
func ExampleHandler() {
	verifier, err := webhook.NewVerifier("stripe", webhook.Options{Secrets: []string{"whsec_…"}})
	if err != nil {
		log.Fatal(err)
	}
	db, err := sql.Open("sqlite", "events.db")
	if err != nil {
		log.Fatal(err)
	}
	store, err := webhook.NewSQLStore(db, webhook.SQLOptions{}) // its table is made by webhook.SQLSchema
	if err != nil {
		log.Fatal(err)
	}
	handler, err := webhook.NewHandler(webhook.HandlerOptions{
		Verifier: verifier,
		Store:    store,
		Work: func(ctx context.Context, e *webhook.Event) error {
			if e.Type != "payment_intent.succeeded" {
				return nil
			}
			payment, err := webhook.Decode[struct {
				Data struct {
					Object struct {
						ID     string `json:"id"`
						Amount int    `json:"amount"`
					} `json:"object"`
				} `json:"data"`
			}](e)
			if err != nil {
				return err
			}
			log.Println("fulfil", payment.Data.Object.ID) // an error has it tried again
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("POST /hooks/stripe", handler)
	go func() { _ = handler.Run(context.Background()) }()
}

func ExampleHandler_stripe() {
	receive("stripe", "whsec_test", func(_ context.Context, e *webhook.Event) error {
		event, err := webhook.Decode[struct {
			Data struct{ Object struct{ Amount int } }
		}](e)
		fmt.Println(e.Type, e.ID, event.Data.Object.Amount)
		return err
	}, nil, `{"id":"evt_1","type":"payment_intent.succeeded","data":{"object":{"amount":1999}}}`)
	// Output:
	// answered 200
	// payment_intent.succeeded evt_1 1999
	// answered 200
}

func ExampleHandler_github() {
	receive("github", "It's a Secret to Everybody", func(_ context.Context, e *webhook.Event) error {
		push, err := webhook.Decode[struct {
			Ref        string
			Repository struct {
				FullName string `json:"full_name"`
			}
		}](e)
		fmt.Println(e.Type, push.Repository.FullName, push.Ref)
		return err
	}, http.Header{"X-Github-Event": {"push"}, "X-Github-Delivery": {"72d3162e-cc78-11e3-81ab-4c9367dc0958"}},
		`{"ref":"refs/heads/main","repository":{"full_name":"octo/hello"}}`)
	// Output:
	// answered 200
	// push octo/hello refs/heads/main
	// answered 200
}

func ExampleHandler_shopify() {
	receive("shopify", "hush", func(_ context.Context, e *webhook.Event) error {
		order, err := webhook.Decode[struct {
			ID    int64
			Total string `json:"total_price"`
		}](e)
		fmt.Println(e.Type, order.ID, order.Total)
		return err
	}, http.Header{"X-Shopify-Topic": {"orders/create"}, "X-Shopify-Webhook-Id": {"b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"}},
		`{"id":820982911946154508,"total_price":"398.00"}`)
	// Output:
	// answered 200
	// orders/create 820982911946154508 398.00
	// answered 200
}

func ExampleHandler_slack() {
	receive("slack", "8f742231b10e8888abcd99yyyzzz85a5", func(_ context.Context, e *webhook.Event) error {
		message, err := webhook.Decode[struct {
			Event struct{ Type, Text string }
		}](e)
		fmt.Println(e.ID, message.Event.Type, message.Event.Text)
		return err
	}, nil, `{"type":"event_callback","event_id":"Ev08MFMKH6","event":{"type":"app_mention","text":"hello"}}`)
	// Output:
	// answered 200
	// Ev08MFMKH6 app_mention hello
	// answered 200
}

func ExampleHandler_standardWebhooks() {
	receive("standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", func(_ context.Context, e *webhook.Event) error {
		fmt.Println(e.ID, e.Type)
		return nil
	}, http.Header{"Webhook-Id": {"msg_1"}}, `{"type":"invoice.paid","timestamp":"2026-11-25T09:00:00Z","data":{}}`)
	// Output:
	// answered 200
	// msg_1 invoice.paid
	// answered 200
}
