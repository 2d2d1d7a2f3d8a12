package sqlite

import (
	"errors"
	"testing"

	"github.com/harkhq/hark/internal/store"
)

func TestOpen_RefusesAnUnfinishedImport(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	if _, err := s.BeginImport(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, options := range []Options{{}, {ReadOnly: true}} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, options); !errors.Is(err, store.ErrUnfinished) {
			t.Errorf("opened in the middle of an import (%+v): %v", options, err)
		}
	}
	dir = t.TempDir()
	s = openTest(t, dir, Options{})
	importer, err := s.BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := importer.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, dir, Options{})
}
