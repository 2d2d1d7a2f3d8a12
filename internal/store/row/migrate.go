package row

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Migration is one step of a schema.
type Migration struct {
	Name string
	Text string
	Sum  string // of the text: a migration that was applied is never worded again
}

// Migrations reads a folder's *.sql files, in the order of their names.
func Migrations(folder fs.FS) ([]Migration, error) {
	paths, err := fs.Glob(folder, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	all := make([]Migration, len(paths))
	for i, name := range paths {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		hash := sha256.Sum256(text)
		all[i] = Migration{strings.TrimSuffix(path.Base(name), ".sql"), string(text), hex.EncodeToString(hash[:])}
	}
	return all, nil
}

// MigrationStatus says how a database's schema compares with this version's.
type MigrationStatus struct {
	Applied []string
	Pending []string
	Newer   []string // applied by a newer version of hark
	Changed []string // applied in another wording
}

// Compare says how the migrations that a database says it has, with their sums, compare with all.
func Compare(all []Migration, applied map[string]string) (status MigrationStatus) {
	newer := maps.Clone(applied)
	for _, m := range all {
		switch sum, ok := applied[m.Name]; {
		case !ok:
			status.Pending = append(status.Pending, m.Name)
		case sum != m.Sum:
			status.Changed = append(status.Changed, m.Name)
		default:
			status.Applied = append(status.Applied, m.Name)
		}
		delete(newer, m.Name)
	}
	status.Newer = slices.Sorted(maps.Keys(newer))
	return status
}

// Refusal says why this version must not touch the schema; nil means that it may.
func (s *MigrationStatus) Refusal() error {
	switch {
	case len(s.Newer) > 0:
		return fmt.Errorf("the store has migration %s, which this version of hark does not know: use a newer one", s.Newer[0])
	case len(s.Changed) > 0:
		return fmt.Errorf("migration %s was applied in another wording: this store belongs to another version of hark", s.Changed[0])
	}
	return nil
}
