package sqlite

import (
	"testing"
)

func TestOpen_TakesARelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s, err := Open(t.Context(), "./data", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
