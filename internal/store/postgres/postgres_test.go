package postgres

import (
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

func TestStore_KeepsTheContract(t *testing.T) {
	for name, options := range map[string]Options{
		"WithAllCapabilities": {},
		"WithNone":            {NoNotify: true, NoPartitions: true},
	} {
		t.Run(name, func(t *testing.T) {
			var urls sync.Map // by folder
			storetest.Run(t, func(t *testing.T, dir string) store.Store {
				url, ok := urls.Load(dir)
				if !ok {
					url = newDatabase(t, options)
					urls.Store(dir, url)
				}
				return openTest(t, url.(string), options)
			})
		})
	}
}
