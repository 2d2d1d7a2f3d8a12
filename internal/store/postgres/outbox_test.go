package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/store/row"
)

// bakery is an application with a database connection of its own.
type bakery struct {
	*testing.T
	url string
	raw *pgx.Conn
}

func openBakery(t *testing.T, url string) *bakery {
	t.Helper()
	raw, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close(context.Background()) })
	return &bakery{t, url, raw}
}

func (b *bakery) exec(query string, args ...any) {
	b.Helper()
	if _, err := b.raw.Exec(b.Context(), query, args...); err != nil {
		b.Fatalf("%s: %v", query, err)
	}
}

func (b *bakery) refuses(part, query string, args ...any) {
	b.Helper()
	if _, err := b.raw.Exec(b.Context(), query, args...); err == nil || !strings.Contains(err.Error(), part) {
		b.Errorf("%s: %v, want an error about %q", query, err, part)
	}
}

const plainInsert = `INSERT INTO hark.outbox (application, event_type, payload) VALUES ('bakery', 'invoice.paid', $1)`

func readOutbox(t *testing.T, s *Store) []store.OutboxRow {
	t.Helper()
	rows, err := s.ReadOutbox(t.Context(), 0, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// fromRow is a row's message for endpoint 1 of application 1. Its payload says which it is.
func fromRow(r store.OutboxRow) *store.Acceptance {
	a := fresh(1)
	a.OutboxRow, a.Message.Payload, a.Message.EventID = r.ID, r.Payload, r.EventID
	return a
}

func acceptAll(t *testing.T, s *Store, rows []store.OutboxRow) (outcomes []store.Outcome) {
	t.Helper()
	var accept []*store.Acceptance
	for _, r := range rows {
		accept = append(accept, fromRow(r))
	}
	if err := s.Accept(t.Context(), accept); err != nil {
		t.Fatal(err)
	}
	for _, a := range accept {
		outcomes = append(outcomes, a.Outcome)
	}
	return outcomes
}

// payloads counts the kept messages by payload.
func payloads(t *testing.T, s *Store) map[string]int {
	t.Helper()
	kept := make(map[string]int)
	if err := s.read(t.Context(), func(c *conn) error {
		clear(kept)
		return c.query(func(r row.Row) error { kept[string(r.Blob(0))]++; return nil }, `SELECT body FROM payload`)
	}); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestOutbox_ReadsWhatWasCommitted(t *testing.T) {
	url := newDatabase(t, Options{})
	s, b := openTest(t, url, Options{}), openBakery(t, url)
	env := hark.NewEnvironmentID(time.Now())
	if err := s.InsertEnvironment(t.Context(), hark.Environment{ID: env, Name: "live", CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	b.exec(`BEGIN`)
	b.exec(plainInsert, `{"id":1}`)
	if rows := readOutbox(t, s); len(rows) != 0 {
		t.Errorf("before the commit: %+v", rows)
	}
	b.exec(`ROLLBACK`)
	if rows := readOutbox(t, s); len(rows) != 0 {
		t.Errorf("rolled back: %+v", rows)
	}
	b.exec(plainInsert, `{"id" : 2.0,  "id":2}`)
	b.exec(`INSERT INTO hark.outbox (environment, application, event_type, event_id, payload, channels, tags, deliver_at)
VALUES ($1, 'b', 'c', 'd', jsonb_build_object('e', 1), '{f,"g h"}', ARRAY['i'], '2030-01-01 00:00:00.25+00')`, string(env))
	b.exec(`INSERT INTO hark.outbox (environment, application, event_type, payload, deliver_at) VALUES ('nowhere', 'b', 'c', '{}', 'infinity')`)
	rows := readOutbox(t, s)
	for i := range rows {
		if age := time.Since(rows[i].CreatedAt); age < -time.Minute || age > time.Minute || i > 0 && rows[i].ID <= rows[i-1].ID {
			t.Errorf("row %d: id %d, created %v ago", i, rows[i].ID, age)
		}
		rows[i].ID, rows[i].CreatedAt = 0, time.Time{}
	}
	if diff := cmp.Diff([]store.OutboxRow{
		{EnvironmentID: env, Environment: "live", Application: "bakery", EventType: "invoice.paid", Payload: []byte(`{"id" : 2.0,  "id":2}`)},
		{EnvironmentID: env, Environment: string(env), Application: "b", EventType: "c", EventID: "d", Payload: []byte(`{"e": 1}`),
			Channels: []string{"f", "g h"}, Tags: []string{"i"}, DeliverAt: time.Date(2030, 1, 1, 0, 0, 0, 250e6, time.UTC)},
		{Environment: "nowhere", Application: "b", EventType: "c", Payload: []byte(`{}`), DeliverAt: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)},
	}, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}

	b.refuses("invalid input syntax for type json", plainInsert, `{"id":`)
	b.refuses("outbox_payload_is_an_object", plainInsert, `[1]`)
	b.refuses("outbox_tags_are_a_short_list", `INSERT INTO hark.outbox (application, event_type, payload, tags) VALUES ('b', 'c', '{}', '{{a,b},{c,d}}')`)
	b.refuses("outbox_channels_are_a_short_list", `INSERT INTO hark.outbox (application, event_type, payload, channels) VALUES ('b', 'c', '{}', array_fill('a'::text, ARRAY[11]))`)
}

func TestOutbox_ReadsABoundedPage(t *testing.T) {
	url := newDatabase(t, Options{})
	s, b := openTest(t, url, Options{}), openBakery(t, url)
	for size := range 5 {
		b.exec(plainInsert, `{"x":"`+strings.Repeat("y", 200*size+192)+`"}`) // 200, 400, … bytes
	}
	page := func(after int64, limit, bytes int) string {
		t.Helper()
		rows, err := s.ReadOutbox(t.Context(), after, limit, bytes)
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, r := range rows {
			text = append(text, fmt.Sprint(r.ID, ":", len(r.Payload)))
		}
		return strings.Join(text, " ")
	}
	for _, test := range []struct {
		after        int64
		limit, bytes int
		want         string
	}{
		{0, 10, 1 << 20, "1:200 2:400 3:600 4:800 5:1000"},
		{2, 2, 1 << 20, "3:600 4:800"},
		{5, 10, 1 << 20, ""},
		{0, 10, 600, "1:200 2:400"},
		{0, 10, 601, "1:200 2:400 3:600"},
		{2, 10, 100, "3:0"}, // too large to be looked at
	} {
		if got := page(test.after, test.limit, test.bytes); got != test.want {
			t.Errorf("after %d, %d rows, %d bytes: %q, want %q", test.after, test.limit, test.bytes, got, test.want)
		}
	}
}

func TestOutbox_ARowBecomesOneMessage(t *testing.T) {
	url := newDatabase(t, Options{})
	s, other, b := openTest(t, url, Options{}), openTest(t, url, Options{}), openBakery(t, url)
	for _, event := range []string{"", "event"} { // in one go, and in a transaction of several
		b.exec(`INSERT INTO hark.outbox (application, event_type, event_id, payload) VALUES ('b', 'c', NULLIF($1, ''), '{"event":"' || $1 || '"}')`, event)
		rows := readOutbox(t, s)
		if out := acceptAll(t, s, rows); len(out) != 1 || out[0] != store.Accepted {
			t.Fatalf("outcomes %v", out)
		}
		if left := readOutbox(t, s); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		for _, again := range []*Store{s, other} {
			if out := acceptAll(t, again, rows); out[0] != store.Taken {
				t.Errorf("again: outcome %v, want Taken", out)
			}
		}
	}
	// One call may name what is gone, what is named twice, and what stands in no outbox.
	b.exec(plainInsert, `{"id":1}`)
	row := readOutbox(t, s)[0]
	gone := row
	gone.ID, gone.Payload = 1, []byte(`{"gone":1}`)
	plain := fresh(1)
	plain.Message.Payload = []byte(`{"plain":1}`)
	accept := []*store.Acceptance{fromRow(gone), fromRow(row), fromRow(row), plain}
	if err := s.Accept(t.Context(), accept); err != nil {
		t.Fatal(err)
	}
	want := []store.Outcome{store.Taken, store.Accepted, store.Taken, store.Accepted}
	for i, a := range accept {
		if a.Outcome != want[i] {
			t.Errorf("%d: outcome %d, want %d", i, a.Outcome, want[i])
		}
	}
	if diff := cmp.Diff(map[string]int{`{"event":""}`: 1, `{"event":"event"}`: 1, `{"id":1}`: 1, `{"plain":1}`: 1}, payloads(t, s)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// What is not accepted stays in the outbox.
func TestOutbox_KeepsWhatIsNotAccepted(t *testing.T) {
	c := newTown(t, 1, 1, Options{})
	s, b := c.nodes[0], openBakery(t, c.url)
	b.exec(`INSERT INTO hark.outbox (application, event_type, event_id, payload) VALUES ('b', 'c', 'e', '{"id":1}'), ('b', 'c', 'e', '{"id":2}'), ('b', 'c', NULL, '{"id":3}')`)
	rows := readOutbox(t, s)
	var accept []*store.Acceptance
	for _, r := range rows {
		a := fromRow(r)
		a.Message.ApplicationRef = c.app.Ref
		accept = append(accept, a)
	}
	accept[2].ConfigVersion = 99
	if err := s.Accept(t.Context(), accept); err != nil {
		t.Fatal(err)
	}
	if accept[0].Outcome != store.Accepted || accept[1].Outcome != store.DuplicateEvent || accept[2].Outcome != store.Stale {
		t.Errorf("outcomes %d, %d, %d", accept[0].Outcome, accept[1].Outcome, accept[2].Outcome)
	}
	if diff := cmp.Diff(rows[1:], readOutbox(t, s)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}

	if err := s.RefuseOutbox(t.Context(), []store.OutboxRefusal{{ID: rows[1].ID, Reason: "it came before"}, {ID: rows[0].ID, Reason: "gone"}, {ID: 77, Reason: "never there"}}, start); err != nil {
		t.Fatal(err)
	}
	if left := readOutbox(t, s); len(left) != 1 || left[0].ID != rows[2].ID {
		t.Errorf("after a refusal: %+v", left)
	}
	if err := s.RefuseOutbox(t.Context(), []store.OutboxRefusal{{ID: rows[1].ID, Reason: "another reason"}}, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	var reason string
	var at time.Time
	if err := b.raw.QueryRow(t.Context(), `SELECT reason, refused_at FROM hark.outbox WHERE reason IS NOT NULL`).Scan(&reason, &at); err != nil || reason != "it came before" || !at.Equal(start) {
		t.Errorf("reason %q at %v, %v", reason, at, err)
	}
	b.exec(`UPDATE hark.outbox SET reason = NULL, event_id = 'f' WHERE reason IS NOT NULL`)
	if out := acceptAll(t, s, readOutbox(t, s)); len(out) != 2 || out[0] != store.Accepted || out[1] != store.Accepted {
		t.Errorf("after the reason was cleared: outcomes %v", out)
	}
}

// start is a time that the database's clock is far from.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func TestOutbox_RefusedRowsGoWithRetention(t *testing.T) {
	url := newDatabase(t, Options{})
	s, b := openTest(t, url, Options{}), openBakery(t, url)
	for i := range 3 {
		b.exec(plainInsert, fmt.Sprintf(`{"id":%d}`, i))
	}
	rows := readOutbox(t, s)
	for i, r := range rows[:2] {
		if err := s.RefuseOutbox(t.Context(), []store.OutboxRefusal{{ID: r.ID, Reason: "wrong"}}, start.AddDate(0, i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Reclaim(t.Context(), start.Add(refusedLife), 100); err != nil {
		t.Fatal(err)
	}
	var left string
	if err := b.raw.QueryRow(t.Context(), `SELECT string_agg(id::text, ' ' ORDER BY id) FROM hark.outbox`).Scan(&left); err != nil || left != "2 3" {
		t.Errorf("left: %q, %v", left, err)
	}
}

// An application that has locked rows of the outbox keeps nobody waiting.
func TestOutbox_WaitsForNoLock(t *testing.T) {
	url := newDatabase(t, Options{})
	s, b := openTest(t, url, Options{}), openBakery(t, url)
	b.exec(plainInsert, `{"id":1}`)
	b.exec(plainInsert, `{"id":2}`)
	rows := readOutbox(t, s)
	b.exec(`BEGIN`)
	b.exec(`SELECT 1 FROM hark.outbox WHERE id = $1 FOR UPDATE`, rows[0].ID)
	began := time.Now()
	out := acceptAll(t, s, rows)
	if took := time.Since(began); took > time.Second || out[0] != store.Taken || out[1] != store.Accepted {
		t.Errorf("outcomes %v after %v", out, took)
	}
	b.exec(`ROLLBACK`)
	if out := acceptAll(t, s, readOutbox(t, s)); len(out) != 1 || out[0] != store.Accepted {
		t.Errorf("afterwards: %v", out)
	}
}

func TestOutbox_RingsWhenATransactionCommits(t *testing.T) {
	for name, options := range map[string]Options{"loud": {}, "silent": {NoNotify: true}} {
		t.Run(name, func(t *testing.T) {
			url := newDatabase(t, options)
			s, b := openTest(t, url, Options{}), openBakery(t, url)
			rung := make(chan struct{}, 100)
			s.OnOutbox(func() { rung <- struct{}{} })
			ctx, cancel := context.WithCancel(t.Context())
			var watching sync.WaitGroup
			watching.Go(func() {
				if err := s.Watch(ctx); err != nil {
					t.Error(err)
				}
			})
			defer watching.Wait()
			defer cancel()
			soon(t, func() bool { // it listens
				var n int
				err := b.raw.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&n)
				return err == nil && n == 1
			})
			quiet := func(when string) {
				t.Helper()
				select {
				case <-rung:
					t.Errorf("it rang %s", when)
				case <-time.After(50 * time.Millisecond):
				}
			}
			b.exec(`BEGIN`)
			b.exec(plainInsert, `{}`)
			b.exec(plainInsert, `{}`)
			quiet("before the commit")
			b.exec(`ROLLBACK`)
			quiet("after it was rolled back")
			b.exec(`BEGIN`)
			b.exec(plainInsert, `{}`)
			b.exec(plainInsert, `{}`)
			b.exec(`COMMIT`)
			if !options.NoNotify {
				select {
				case <-rung:
				case <-time.After(5 * time.Second):
					t.Error("it did not ring")
				}
			}
			quiet("more than once, or without a trigger")
		})
	}
}

// All that an application needs is to insert; with that it can do nothing else.
func TestOutbox_NeedsNoMoreThanToInsert(t *testing.T) {
	url := newDatabase(t, Options{})
	s, b := openTest(t, url, Options{}), openBakery(t, url)
	role := "bakery_" + postgrestest.Name(url)
	b.exec(`CREATE ROLE ` + role)
	t.Cleanup(func() { // roles are the server's, not the database's
		_, _ = b.raw.Exec(context.Background(), `RESET ROLE; DROP OWNED BY `+role+`; DROP ROLE `+role)
	})
	b.exec(`GRANT USAGE ON SCHEMA hark TO ` + role)
	b.exec(`GRANT INSERT (environment, application, event_type, event_id, payload, channels, tags, deliver_at) ON hark.outbox TO ` + role)
	b.exec(`SET ROLE ` + role)
	b.exec(plainInsert, `{}`)
	for _, query := range []string{
		`SELECT payload FROM hark.outbox`,
		`DELETE FROM hark.outbox`,
		`UPDATE hark.outbox SET application = 'x'`,
		`INSERT INTO hark.outbox (application, event_type, payload, reason) VALUES ('b', 'c', '{}', 'x')`,
		`INSERT INTO hark.outbox (id, application, event_type, payload) OVERRIDING SYSTEM VALUE VALUES (1, 'b', 'c', '{}')`,
		`SELECT * FROM hark.message`,
		`SELECT nextval('hark.outbox_id_seq')`,
	} {
		b.refuses("permission denied", query)
	}
	if rows := readOutbox(t, s); len(rows) != 1 {
		t.Errorf("rows: %+v", rows)
	}

	b.exec(`RESET ROLE`)
	b.exec(`ALTER TABLE hark.outbox ENABLE ROW LEVEL SECURITY`)
	b.exec(`CREATE POLICY only_the_bakery ON hark.outbox FOR INSERT TO ` + role + ` WITH CHECK (environment = 'live' AND application = 'bakery')`)
	b.exec(`SET ROLE ` + role)
	b.exec(plainInsert, `{}`)
	b.refuses("row-level security", `INSERT INTO hark.outbox (application, event_type, payload) VALUES ('bank', 'c', '{}')`)
	if out := acceptAll(t, s, readOutbox(t, s)); len(out) != 2 || out[0] != store.Accepted || out[1] != store.Accepted {
		t.Errorf("outcomes %v", out)
	}
}

// What a trigger makes of an order, and a library of a document, is a payload as well.
func TestOutbox_TakesJSONOfEveryType(t *testing.T) {
	url := newDatabase(t, Options{})
	s, b := openTest(t, url, Options{}), openBakery(t, url)
	b.exec(`CREATE TABLE public.orders (id bigint, cakes integer)`)
	b.exec(`CREATE FUNCTION public.tell_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO hark.outbox (application, event_type, event_id, payload)
  VALUES ('bakery', 'order.placed', 'order-' || NEW.id, row_to_json(NEW));
  RETURN NEW;
END $$`)
	b.exec(`CREATE TRIGGER tell_of_order AFTER INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.tell_of_order()`)
	b.exec(`INSERT INTO public.orders VALUES (17, 3)`)
	b.exec(`INSERT INTO hark.outbox (application, event_type, payload) VALUES ('b', 'c', $1::jsonb), ('b', 'c', $2::json), ('b', 'c', $3::varchar)`,
		map[string]int{"a": 1}, `{"b" : 2}`, `{"c" : 3}`)
	var got []string
	for _, r := range readOutbox(t, s) {
		got = append(got, r.EventID+string(r.Payload))
	}
	if diff := cmp.Diff([]string{`order-17{"id":17,"cakes":3}`, `{"a": 1}`, `{"b" : 2}`, `{"c" : 3}`}, got); diff != "" {
		t.Errorf("payloads (-want +got):\n%s", diff)
	}
}

// The answer to a commit gets lost: the row is a message, once, and the caller hears of it.
func TestOutbox_AsksWhatBecameOfACommit(t *testing.T) {
	s, p := openAway(t, postgrestest.Shared(t), Options{})
	b := openBakery(t, s.config.ConnString())
	b.exec(plainInsert, `{"id":0}`)
	acceptAll(t, s, readOutbox(t, s)) // the day's tables are there now
	for i := 1; i <= 4; i++ {
		p.cutAnswers.Store(0)
		b.exec(`INSERT INTO hark.outbox (application, event_type, event_id, payload) VALUES ('b', 'c', $1, $2)`,
			map[bool]any{true: strconv.Itoa(i), false: nil}[i%2 == 0], fmt.Sprintf(`{"id":%d}`, i))
		rows := readOutbox(t, s)
		p.cutAnswers.Store(1)
		if out := acceptAll(t, s, rows); len(out) != 1 || out[0] != store.Accepted {
			t.Errorf("%d: outcomes %v", i, out)
		}
	}
	if p.cutAnswers.Load() > 0 {
		t.Error("no answer was cut")
	}
	kept := payloads(t, s)
	for i := range 5 {
		if n := kept[fmt.Sprintf(`{"id":%d}`, i)]; n != 1 {
			t.Errorf("row %d is %d messages", i, n)
		}
	}
}

// Two nodes take what an application commits while the server crashes again and again: every committed
// row becomes one message, and what was rolled back none.
func TestOutbox_IsTakenExactlyOnceThroughCrashes(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t, postgrestest.Options{Fsync: true})
	url := server.Database(t, "partitioned", func(url string) error { return Migrate(t.Context(), url, Options{}) })
	nodes := []*Store{openTest(t, url, Options{}), openTest(t, url, Options{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	// What became of each row, as the application knows it.
	const committed, rolledBack, unknown = 1, 2, 3
	fate := make(map[string]int)
	var mu sync.Mutex
	var inserting, taking sync.WaitGroup
	for writer := range 4 {
		inserting.Go(func() {
			var raw *pgx.Conn
			for i := 0; ctx.Err() == nil; i++ {
				if raw == nil || raw.IsClosed() {
					ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
					var err error
					raw, err = pgx.Connect(ctx, url)
					cancel()
					if err != nil {
						time.Sleep(5 * time.Millisecond)
						continue
					}
				}
				payload := fmt.Sprintf(`{"writer":%d,"row":%d}`, writer, i)
				what := insertOne(raw, payload, i)
				mu.Lock()
				fate[payload] = what
				mu.Unlock()
			}
			if raw != nil {
				_ = raw.Close(context.Background())
			}
		})
	}
	stopTaking, stop := context.WithCancel(t.Context())
	defer stop()
	var taken, missed atomic.Int64
	for i := range 4 {
		taking.Go(func() {
			for stopTaking.Err() == nil {
				rows, err := nodes[i%2].ReadOutbox(stopTaking, 0, 20, 1<<20)
				if err != nil || len(rows) == 0 {
					time.Sleep(2 * time.Millisecond)
					continue
				}
				var accept []*store.Acceptance
				for _, r := range rows {
					accept = append(accept, fromRow(r))
				}
				if nodes[i%2].Accept(context.Background(), accept) != nil {
					continue
				}
				for _, a := range accept {
					if a.Outcome == store.Accepted {
						taken.Add(1)
					} else {
						missed.Add(1)
					}
				}
			}
		})
	}
	// A busy machine does little in a fixed time: so there is as much before each crash, and at the end.
	work := func(round int) {
		time.Sleep(250 * time.Millisecond)
		soon(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			done := make(map[int]int)
			for _, what := range fate {
				done[what]++
			}
			return done[committed] >= 13*round && done[rolledBack] >= 3*round
		})
	}
	for round := range 3 {
		work(round + 1)
		server.Crash()
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
	work(4)
	cancel()
	inserting.Wait()
	soon(t, func() bool {
		rows, err := nodes[0].ReadOutbox(t.Context(), 0, 1, 1)
		return err == nil && len(rows) == 0
	})
	stop()
	taking.Wait()

	kept := payloads(t, nodes[0])
	counts := make(map[int]int)
	for payload, what := range fate {
		counts[what]++
		if n := kept[payload]; what == committed && n != 1 || what == rolledBack && n != 0 || n > 1 {
			t.Errorf("%s: %d messages, its fate was %d", payload, n, what)
		}
		delete(kept, payload)
	}
	if len(kept) > 0 {
		t.Errorf("from nowhere: %v", kept)
	}
	if counts[committed] < 50 || counts[rolledBack] < 10 || missed.Load() == 0 {
		t.Errorf("too little happened: %v", counts)
	}
	t.Logf("%d committed, %d rolled back, %d unknown; taken %d, missed %d times", counts[committed], counts[rolledBack], counts[unknown], taken.Load(), missed.Load())
}

// insertOne commits a row, or rolls it back, and answers what became of it.
func insertOne(raw *pgx.Conn, payload string, i int) (fate int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	event := any(nil)
	if i%3 == 0 {
		event = strings.NewReplacer(`{"writer":`, "w", `,"row":`, "_", "}", "").Replace(payload)
	}
	tx, err := raw.Begin(ctx)
	if err != nil {
		return 2
	}
	if _, err := tx.Exec(ctx, `INSERT INTO hark.outbox (application, event_type, event_id, payload) VALUES ('b', 'c', $1, $2)`, event, payload); err != nil || i%5 == 4 {
		_ = tx.Rollback(ctx)
		return 2
	}
	if tx.Commit(ctx) != nil {
		return 3
	}
	return 1
}
