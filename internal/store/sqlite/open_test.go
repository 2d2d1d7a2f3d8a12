package sqlite_test

import (
	"testing"

	"github.com/harkhq/hark/internal/store/sqlite"
)

func TestOpen_TakesARelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := sqlite.Open(t.Context(), "./data", sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
