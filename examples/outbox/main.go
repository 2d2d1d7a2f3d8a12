// Command outbox shows how an application sends webhooks with nothing but its own database: the message
// is written in the transaction that it is about, so that it is sent exactly when that is committed.
//
//	hark serve --database postgres://…/bakery --migrate --allow-private-endpoints
//	hark applications create Bakery --uid bakery
//	hark endpoints create http://127.0.0.1:3000/webhooks --app bakery
//	go run ./examples/outbox postgres://…/bakery
//
// Ada's order and its message are committed together. Grace's card is declined after both were written:
// they are rolled back together, and nobody ever hears of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/jackc/pgx/v5"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: outbox postgres://…")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The bakery's own table. Hark's is in the same database, in the schema hark.
const ordersSQL = `CREATE TABLE IF NOT EXISTS bakery_order (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer text NOT NULL,
  cakes    integer NOT NULL
)`

func run(ctx context.Context, url string, out io.Writer) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	if _, err := db.Exec(ctx, ordersSQL); err != nil {
		return err
	}
	for _, o := range []order{{Customer: "Ada", Cakes: 3}, {Customer: "Grace", Cakes: 4000}} {
		err := place(ctx, db, &o)
		switch {
		case errors.Is(err, errDeclined):
			fmt.Fprintf(out, "%s: %v, so there is no order and no message\n", o.Customer, err)
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "%s: order %d is placed, and its webhook is on its way\n", o.Customer, o.ID)
		}
	}
	return nil
}

type order struct {
	ID       int64  `json:"id"`
	Customer string `json:"customer"`
	Cakes    int    `json:"cakes"`
}

const (
	insertOrderSQL = `INSERT INTO bakery_order (customer, cakes) VALUES ($1, $2) RETURNING id`

	// All that it takes. The event id is the bakery's own name for the message, if it wants one.
	insertMessageSQL = `INSERT INTO hark.outbox (application, event_type, event_id, payload) VALUES ('bakery', 'order.placed', $1, $2)`
)

// place writes an order, writes the message about it, and charges the card: all of it, or nothing.
func place(ctx context.Context, db *pgx.Conn, o *order) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, insertOrderSQL, o.Customer, o.Cakes).Scan(&o.ID); err != nil {
			return err
		}
		payload, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, insertMessageSQL, fmt.Sprint("order-", o.ID), string(payload)); err != nil {
			return err
		}
		return charge(o)
	})
}

var errDeclined = errors.New("the card was declined")

// charge stands for whatever can still go wrong when everything is written.
func charge(o *order) error {
	if o.Cakes > 100 {
		return errDeclined
	}
	return nil
}
