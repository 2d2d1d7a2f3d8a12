package postgres

import (
	"errors"
	"testing"

	"github.com/harkhq/hark/internal/store"
)

func TestOpen_RefusesAnUnfinishedImport(t *testing.T) {
	url := newDatabase(t, Options{})
	importer, err := openTest(t, url, Options{}).BeginImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, Options{}); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("opened in the middle of an import: %v", err)
	}
	if err := importer.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	openTest(t, url, Options{})
}
