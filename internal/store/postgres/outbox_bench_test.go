package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/outbox"
	"github.com/harkhq/hark/internal/store/postgrestest"
)

// taking is a store whose outbox is taken from, with an application "bakery" that has one endpoint.
type taking struct {
	b       *testing.B
	server  *postgrestest.Server
	url     string
	arrived chan []hark.Delivery
}

func newTaking(b *testing.B, options Options) *taking {
	server := postgrestest.New(b, postgrestest.Options{Fsync: true, Settings: []string{"max_wal_size=4GB", "shared_buffers=512MB"}})
	t := &taking{b: b, server: server, arrived: make(chan []hark.Delivery, 1<<16)}
	t.url = server.Database(b, "bench", func(url string) error { return Migrate(b.Context(), url, options) })
	s := openTest(b, t.url, options)
	at := time.Now()
	env := hark.Environment{ID: hark.NewEnvironmentID(at), Name: "live", CreatedAt: at}
	app := hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: env.ID, UID: "bakery"}
	err := s.InsertEnvironment(b.Context(), env)
	if err == nil {
		app, err = s.InsertApplication(b.Context(), app)
	}
	if err == nil {
		_, err = s.InsertEndpoint(b.Context(), hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: app.Ref, URL: "https://example.com"})
	}
	if err != nil {
		b.Fatal(err)
	}
	s.OnQueued(func(ds []hark.Delivery) { t.arrived <- ds })
	taker := outbox.New(outbox.Options{Store: s, Publisher: manage.New(manage.Options{Store: s, Directory: directory.New(s, directory.Options{})})})
	s.OnOutbox(taker.Ring)
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Watch(ctx) })
	running.Go(func() { _ = taker.Run(ctx) })
	b.Cleanup(func() { cancel(); running.Wait() })
	time.Sleep(200 * time.Millisecond) // it listens
	return t
}

func (t *taking) connect() *pgx.Conn {
	raw, err := pgx.Connect(t.b.Context(), t.url)
	if err != nil {
		t.b.Fatal(err)
	}
	t.b.Cleanup(func() { _ = raw.Close(context.Background()) })
	return raw
}

// BenchmarkOutboxLatency is the time from an application's commit to its message's, at 200 a second.
func BenchmarkOutboxLatency(b *testing.B) {
	for name, options := range map[string]Options{"notify": {}, "poll": {NoNotify: true}} {
		b.Run(name, func(b *testing.B) {
			t := newTaking(b, options)
			raw := t.connect()
			var waits []time.Duration
			b.ResetTimer()
			for i := range b.N {
				if _, err := raw.Exec(b.Context(), plainInsert, fmt.Sprintf(`{"id":%d}`, i)); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				<-t.arrived
				waits = append(waits, time.Since(committed))
				time.Sleep(5 * time.Millisecond)
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkOutboxThroughput is how fast rows of 1 KiB are taken that were committed beforehand. held
// takes them while somebody keeps an old transaction open, behind 100,000 rows that were taken in it.
func BenchmarkOutboxThroughput(b *testing.B) {
	payload := `{"x":"` + strings.Repeat("abcdefghijklmnop", 63) + `"}`
	const fill = `INSERT INTO hark.outbox (application, event_type, payload) SELECT 'bakery', 'invoice.paid', $1 FROM generate_series(1, $2)`
	for _, held := range []bool{false, true} {
		b.Run(map[bool]string{false: "free", true: "held"}[held], func(b *testing.B) {
			t := newTaking(b, Options{})
			raw := t.connect()
			take := func(n int) time.Duration {
				if _, err := raw.Exec(b.Context(), fill, payload, n); err != nil {
					b.Fatal(err)
				}
				committed := time.Now()
				for n > 0 {
					n -= len(<-t.arrived)
				}
				return time.Since(committed)
			}
			take(1000)
			if held {
				release, err := t.server.Hold(b.Context(), postgrestest.Name(t.url))
				if err != nil {
					b.Fatal(err)
				}
				defer release()
				take(100_000)
				time.Sleep(21 * time.Second) // until the floor is behind them
			}
			b.ResetTimer()
			took := take(b.N)
			b.ReportMetric(float64(b.N)/took.Seconds(), "rows/s")
		})
	}
}
