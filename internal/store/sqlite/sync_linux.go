package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync waits until a file's bytes are on the disk; its times may be lost.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
