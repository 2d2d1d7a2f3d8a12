// Package shop is an example of a good webhook receiver: a shop that ships an order when its
// payment has cleared, exactly once, whatever the network does.
//
//	webhook ─▶ verify the raw body ─▶ write the id down ─▶ 204, in milliseconds
//	                                        │
//	                                        └─▶ later: ask the payment API for the order ─▶ fulfil it
//
// The webhook only says that something happened. What is true is asked for: a webhook may come
// twice, late, or after the next one. `hark demo` runs this code; server/ runs it on its own.
package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/harkhq/hark/webhook"
)

// Order is what the payment API knows about an order.
type Order struct {
	ID     string `json:"id"`
	Status string `json:"status"` // "paid" when the money is there
	Amount int    `json:"amount"` // in cents
	Item   string `json:"item"`
}

// Shop is the receiver. Make it with New.
type Shop struct {
	verifier *webhook.Verifier
	payments string // base URL of the payment API
	tell     func(event, detail string)
	work     chan notice

	// A real shop has a table with a unique key here, and writes the row in the same transaction
	// as the fulfilment.
	mu        sync.Mutex
	seen      map[string]bool
	fulfilled map[string]int
}

// notice is what is kept of a webhook until there is time for it.
type notice struct{ messageID, orderID string }

// New makes a shop that trusts webhooks signed with secret, and asks payments for the truth. tell
// hears of every step; it must not block.
func New(secret, payments string, tell func(event, detail string)) (*Shop, error) {
	verifier, err := webhook.NewVerifier(webhook.StandardWebhooks, webhook.Options{Secrets: []string{secret}})
	if err != nil {
		return nil, err
	}
	return &Shop{
		verifier: verifier, payments: payments, tell: tell,
		work: make(chan notice, 100), seen: map[string]bool{}, fulfilled: map[string]int{},
	}, nil
}

// ServeHTTP receives one webhook. It does as little as possible before it answers: a sender that
// has to wait takes the shop for dead and sends again.
func (s *Shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The raw body, compared in constant time. Whatever is not signed is not looked at.
	body, err := s.verifier.VerifyRequest(r, time.Now())
	if err != nil {
		status := s.verifier.Status(err) // 401, or 413 for a body of which nothing was verified
		s.tell("refused", fmt.Sprintf("answers %d: %v", status, err))
		http.Error(w, "not accepted", status)
		return
	}
	var event struct {
		OrderID string `json:"orderId"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		http.Error(w, "not an event", http.StatusBadRequest)
		return
	}
	id := r.Header.Get(webhook.HeaderID) // signed, and the same on every attempt
	switch s.enqueue(notice{id, event.OrderID}) {
	case fresh:
		s.tell("accepted", fmt.Sprintf("the signature over %d raw bytes is right: answers 204 at once", len(body)))
	case duplicate:
		s.tell("duplicate", "the signature is right, but "+id+" was here before: answers 204, drops it")
	case full:
		// Saying no is honest: the sender comes again.
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type verdict int

const (
	fresh verdict = iota
	duplicate
	full
)

// enqueue remembers a webhook, unless it was here before.
func (s *Shop) enqueue(n notice) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[n.messageID] {
		return duplicate
	}
	select {
	case s.work <- n:
		s.seen[n.messageID] = true
		return fresh
	default:
		return full
	}
}

// Run does the work that the webhooks asked for, until ctx ends.
func (s *Shop) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-s.work:
			if err := s.fulfil(ctx, n.orderID); err != nil {
				s.tell("problem", err.Error())
			}
		}
	}
}

// fulfil asks for the order and ships it, once.
func (s *Shop) fulfil(ctx context.Context, id string) error {
	order, err := s.fetch(ctx, id)
	if err != nil {
		return fmt.Errorf("ask for order %s: %w", id, err)
	}
	s.tell("asked", fmt.Sprintf("the payment API says: order %s is %s, %d.%02d €", order.ID, order.Status, order.Amount/100, order.Amount%100))
	if order.Status != "paid" {
		return nil // the webhook was about a moment that has passed
	}
	s.mu.Lock()
	before := s.fulfilled[id]
	if before == 0 {
		s.fulfilled[id]++
	}
	s.mu.Unlock()
	if before > 0 { // another webhook, about the same order
		s.tell("nothing", "order "+id+" is on its way already")
		return nil
	}
	s.tell("fulfilled", fmt.Sprintf("order %s: %s is on its way", id, order.Item))
	return nil
}

// fetch is the pull half: the webhook said that something happened, the API says what is true.
func (s *Shop) fetch(ctx context.Context, id string) (Order, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var order Order
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.payments+"/orders/"+id, nil)
	if err != nil {
		return order, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return order, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return order, fmt.Errorf("it answered %s", resp.Status)
	}
	return order, json.NewDecoder(resp.Body).Decode(&order)
}

// Fulfilled says how often an order was fulfilled. Once is right.
func (s *Shop) Fulfilled(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fulfilled[id]
}
