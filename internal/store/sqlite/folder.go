package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// DatabaseFile is the name of the database in a data folder: what a backup is a copy of.
const DatabaseFile = databaseFile

// InUse says whether a process has the folder open, without keeping that process from starting.
func InUse(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("look at the lock: %w", err)
	}
	defer f.Close() // and with it the shared lock, which the owner's exclusive one waits for
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}
