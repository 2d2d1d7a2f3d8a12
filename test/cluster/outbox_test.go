package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/test/harness"
)

// bakery is an application that writes into the outbox, and remembers what it committed.
type bakery struct {
	db   *postgrestest.Server
	name string // of the database
	app  string

	mu        sync.Mutex
	committed map[int]bool // false: rolled back
	next      int
}

// write runs a transaction with a few messages.
func (b *bakery) write(t *testing.T, rows int, commit bool) {
	script := strings.Builder{}
	script.WriteString("BEGIN;")
	b.mu.Lock()
	var ids []int
	for range rows {
		b.next++
		ids = append(ids, b.next)
	}
	b.mu.Unlock()
	for i, id := range ids {
		event := "NULL"
		if i%2 == 1 {
			event = fmt.Sprintf("'event-%d'", id)
		}
		fmt.Fprintf(&script, `INSERT INTO hark.outbox (application, event_type, event_id, payload) VALUES ('%s', 'a.b', %s, '{"id":%d}');`, b.app, event, id)
	}
	script.WriteString(map[bool]string{true: "COMMIT", false: "ROLLBACK"}[commit])
	if err := b.db.Exec(context.Background(), b.name, script.String()); err != nil {
		t.Error(err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		b.committed[id] = commit
	}
}

// Nodes are killed again and again while an application commits messages and rolls others back. Each
// committed row is one message, which arrives; none that was rolled back does.
func TestOutbox_EveryRowBecomesOneMessage(t *testing.T) {
	t.Parallel()
	binary := harness.Binary(t)
	db := postgrestest.New(t, postgrestest.Options{Fsync: true})
	url := db.Database(t, "empty", func(string) error { return nil })
	start := func() *harness.Server {
		s, err := harness.Start(context.Background(), harness.Options{
			Binary: binary, Dir: t.TempDir(), Args: []string{"--database", url, "--migrate", "--lease", "1s"},
			Env: []string{"HARK_MASTER_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	nodes := []*harness.Server{start(), start()}
	t.Cleanup(func() {
		for _, n := range nodes {
			n.Kill()
		}
	})
	sink := harness.NewSink(t, nil)
	client := nodes[0].Client()
	b := &bakery{db: db, name: postgrestest.Name(url), app: client.Application(t, "bakery"), committed: map[int]bool{}}
	client.Endpoint(t, b.app, sink.URL, nil)

	stop := make(chan struct{})
	var writing sync.WaitGroup
	for range 3 {
		writing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					b.write(t, 1+rand.IntN(20), i%4 != 3)
					time.Sleep(10 * time.Millisecond) // what comes together is delivered while others wait
				}
			}
		})
	}
	for range harness.Rounds(3, 6) {
		time.Sleep(time.Duration(200+rand.IntN(600)) * time.Millisecond)
		victim := rand.IntN(2)
		nodes[victim].Kill()
		nodes[victim] = start()
	}
	close(stop)
	writing.Wait()

	ids := func() map[int]map[string]bool { // webhook-ids by what the payload says
		got := make(map[int]map[string]bool)
		for _, a := range sink.Arrivals("") {
			var in struct{ ID int }
			if err := json.Unmarshal(a.Body, &in); err != nil {
				t.Fatalf("%s: %v", a.Body, err)
			}
			if got[in.ID] == nil {
				got[in.ID] = make(map[string]bool)
			}
			got[in.ID][a.ID] = true
		}
		return got
	}
	want := 0
	for _, committed := range b.committed {
		if committed {
			want++
		}
	}
	harness.Eventually(t, 2*time.Minute, func() error {
		if got := len(ids()); got < want {
			return fmt.Errorf("%d of %d committed messages have arrived", got, want)
		}
		return nil
	})
	for id, messages := range ids() {
		if !b.committed[id] {
			t.Errorf("message %d was rolled back, and sent", id)
		}
		if len(messages) != 1 {
			t.Errorf("row %d became %d messages", id, len(messages))
		}
	}
	// Also of those that are the same to a receiver, because they have not arrived twice.
	counts, err := db.Query(t.Context(), b.name, `SELECT (SELECT count(*) FROM hark.message), (SELECT count(*) FROM hark.outbox)`)
	if err != nil || counts[0][0] != fmt.Sprint(want) || counts[0][1] != "0" {
		t.Errorf("%v messages and rows, want %d and none: %v", counts, want, err)
	}
	t.Logf("%d rows committed, %d rolled back; %d arrivals", want, len(b.committed)-want, len(sink.Arrivals("")))
}
