package postgrestest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lay makes the data folder. What initdb makes is always the same, and takes it half a second of work: so
// the user's cache keeps it, one for each PostgreSQL, and servers begin with a copy.
func (s *Server) lay() error {
	args := []string{"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"}
	kept, err := s.kept(args)
	if err != nil {
		return err
	}
	if _, err := os.Stat(kept); err == nil {
		return s.copyFrom(kept)
	}
	initdb := s.command("initdb", append(args, "-D", s.data())...)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return keep(s.data(), kept)
}

// kept is where the cache has the folder of this PostgreSQL, made with these arguments.
func (s *Server) kept(args []string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	postgres := filepath.Join(s.binaries, "postgres")
	info, err := os.Stat(postgres) // an update makes another file
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "hark-tests", "postgres")
	key := fmt.Sprint(postgres, info.Size(), info.ModTime().UnixNano(), args)
	return filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(key)))[:24]), os.MkdirAll(dir, 0o700)
}

// copyFrom fills the data folder from a kept one, for the user whom the server runs as.
func (s *Server) copyFrom(kept string) error {
	if err := os.CopyFS(s.data(), os.DirFS(kept)); err != nil {
		return err
	}
	if err := os.Chmod(s.data(), 0o700); err != nil { // the server insists
		return err
	}
	if s.owner == nil {
		return nil
	}
	return filepath.WalkDir(s.data(), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, int(s.owner.Uid), int(s.owner.Gid))
	})
}

// keep puts a copy of a folder into the cache, whole or not at all: several test binaries make it at once,
// and use whichever was done first.
func keep(dir, kept string) error {
	made, err := os.MkdirTemp(filepath.Dir(kept), "new-")
	if err != nil {
		return err
	}
	if err = os.CopyFS(made, os.DirFS(dir)); err == nil {
		if err = os.Rename(made, kept); err == nil || errors.Is(err, fs.ErrExist) {
			return os.RemoveAll(made)
		}
	}
	return errors.Join(err, os.RemoveAll(made))
}
