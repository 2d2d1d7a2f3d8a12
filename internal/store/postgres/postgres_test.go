package postgres

import (
	"os"
	"sync"
	"testing"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// newDatabase makes a migrated database for a test.
func newDatabase(t testing.TB, options Options) (url string) {
	t.Helper()
	template := "partitioned"
	if options.NoPartitions {
		template = "plain"
	}
	if options.NoNotify {
		template += "_silent"
	}
	return postgrestest.Shared(t).Database(t, template, func(url string) error {
		return Migrate(t.Context(), url, options)
	})
}

func openTest(t testing.TB, url string, options Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// capable are the tests of the contract that touch what a store does another way without its capabilities:
// rows that lie in partitions by day, and whoever is woken by a notification.
var capable = []string{
	"Requests", "ReclaimRequests", "Accept", "AcceptConcurrently", "UniqueConcurrently", "OnQueued", "Expunge", "Settle", "States",
	"Feed", "FeedConcurrently", "ReclaimFeeds", "Attempts", "AttemptsWhileTheyCome", "Tail", "TailIsComplete", "Reservations", "Reclaim", "ReclaimKeepsQueued",
	"Reopen", "Upkeep", "Transfer",
}

func TestStore_KeepsTheContract(t *testing.T) {
	t.Parallel() // beside those that wait for a database that is away
	none := capable
	if os.Getenv("HARK_TESTS") == "all" {
		none = nil // means all
	}
	for name, with := range map[string]struct {
		options Options
		only    []string
	}{
		"WithAllCapabilities": {},
		"WithNone":            {Options{NoNotify: true, NoPartitions: true}, none},
	} {
		t.Run(name, func(t *testing.T) {
			options := with.options
			var urls sync.Map // by folder
			storetest.Run(t, func(t *testing.T, dir string) store.Store {
				url, ok := urls.Load(dir)
				if !ok {
					url = newDatabase(t, options)
					urls.Store(dir, url)
				}
				return openTest(t, url.(string), options)
			}, with.only...)
		})
	}
}
