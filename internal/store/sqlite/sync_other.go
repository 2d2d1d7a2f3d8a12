//go:build !linux

package sqlite

import "os"

// datasync waits until a file's bytes are on the disk.
func datasync(f *os.File) error { return f.Sync() }
