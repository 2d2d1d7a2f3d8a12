package postgres

import (
	"testing"
	"time"

	"github.com/harkhq/hark"
)

// A database that was in use before there were sources has days with tables already.
func TestMigrate_GivesTheDaysThatAreThereTheirRequests(t *testing.T) {
	url := newDatabase(t, Options{})
	s := openTest(t, url, Options{})
	now := time.Now()
	if _, err := s.Reclaim(t.Context(), now, 10); err != nil { // makes today's tables
		t.Fatal(err)
	}
	for _, undo := range []string{
		`DROP TABLE request, request_content, source, source_token`, `ALTER TABLE payload DROP COLUMN head`,
		`DELETE FROM counter WHERE name = 'source'`, `DELETE FROM migration WHERE name = '0003_sources'`,
	} {
		if _, err := s.pool.Exec(t.Context(), undo); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), url, Options{}); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, url, Options{})
	q := hark.Request{SourceRef: 1, ID: hark.NewRequestID(now), ReceivedAt: now, Outcome: hark.RequestRejected, Head: []byte{1, 0}, Body: []byte("x")}
	if err := s.InsertRequests(t.Context(), []hark.Request{q}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountRequests(t.Context(), 1, now.Add(-time.Minute), 10); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}
