package harness

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles cmd/hark as it is released, a static binary, into dir. The user's cache keeps the last one
// built from each source tree: the go command looks whether it is still what the source says, and links
// again only if it is not.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "hark")
	kept, err := Cache("binaries", root)
	if err != nil {
		return "", err
	}
	if err := copyFile(kept, bin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	before, _ := os.Stat(bin) // nil when there is none
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/hark")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hark: %w\n%s", err, out)
	}
	after, err := os.Stat(bin)
	if err != nil {
		return "", err
	}
	if before != nil && os.SameFile(before, after) && before.ModTime().Equal(after.ModTime()) {
		return bin, nil
	}
	return bin, keep(bin, kept)
}

// see looks at the source of the binary from inside a test: the go command notes what a test looks at, and
// would otherwise answer "(cached)" for tests of a binary that has changed since.
func see() error {
	root, err := Root()
	if err != nil {
		return err
	}
	_ = os.Getenv("HARK_TESTS") // Rounds has read it before there was anybody to note that
	files, err := filepath.Glob(filepath.Join(root, "*.*"))
	for _, file := range files {
		if _, serr := os.Stat(file); serr != nil {
			err = errors.Join(err, serr)
		}
	}
	for _, dir := range []string{"cmd", "internal", "webhook"} {
		walk := func(_ string, _ fs.DirEntry, err error) error { return err } // reading the folders is enough
		err = errors.Join(err, filepath.WalkDir(filepath.Join(root, dir), walk))
	}
	return err
}

// Cache is a path in the user's cache for what belongs to a key. Whoever puts something there makes it
// elsewhere and renames it: tests of several packages, and of several trees, run at once.
func Cache(kind, key string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "hark-tests", kind)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(key)))[:24]), nil
}

// keep puts a copy of a file at a path in the cache.
func keep(file, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "new-")
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), copyFile(file, f.Name())); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
