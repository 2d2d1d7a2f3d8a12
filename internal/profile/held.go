package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrHeld reports that another process holds a profile of this name.
var ErrHeld = errors.New("another process holds this profile")

// Held is a profile that is there as long as this process holds it.
type Held struct {
	folder Folder
	path   string
	file   *os.File // its lock is what says that the profile is there
}

// heldPath is the file of a held profile.
func (f Folder) heldPath(name string) string {
	return filepath.Join(string(f), "held-"+name+".json")
}

// Hold makes a profile that others find until Release, or until this process has ended. It answers
// ErrHeld when there is one of this name.
func (f Folder) Hold(name string, p Profile) (*Held, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	h := &Held{folder: f, path: f.heldPath(name)}
	err := f.alone(func() error {
		if _, held, err := f.Running(name); err != nil {
			return err
		} else if held {
			return ErrHeld
		}
		text, err := encode(p.wire())
		if err != nil {
			return err
		}
		file, err := writeBeside(h.path, text)
		if err != nil {
			return fmt.Errorf("hold profile: %w", err)
		}
		// Locked first and named then: nobody sees it unlocked, and takes it for one that was left behind.
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			err = os.Rename(file.Name(), h.path)
		}
		if err != nil {
			return fmt.Errorf("hold profile: %w", errors.Join(err, file.Close(), os.Remove(file.Name())))
		}
		h.file = file
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Release ends it.
func (h *Held) Release() error {
	return h.folder.alone(func() error { return errors.Join(os.Remove(h.path), h.file.Close()) })
}

// Running answers the profile that another process holds under this name, if one does. What a process
// has left behind that crashed is none.
func (f Folder) Running(name string) (p Profile, held bool, err error) {
	if err := CheckName(name); err != nil {
		return p, false, err
	}
	file, err := os.Open(f.heldPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("read held profile: %w", err)
	}
	defer file.Close()
	// A shared lock, so that two who look at a file that was left behind do not take each other for its holder.
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return p, false, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return p, false, fmt.Errorf("read held profile: %w", err)
	}
	var w wire
	if err := json.NewDecoder(file).Decode(&w); err != nil {
		return p, false, fmt.Errorf("read held profile: %s: %w", file.Name(), err)
	}
	return w.profile(), true, nil
}

// AllRunning answers all profiles that processes hold, by name.
func (f Folder) AllRunning() (map[string]Profile, error) {
	paths, err := filepath.Glob(f.heldPath("*"))
	if err != nil {
		return nil, fmt.Errorf("list held profiles: %w", err)
	}
	all := map[string]Profile{}
	for _, path := range paths {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "held-"), ".json")
		p, held, err := f.Running(name)
		if err != nil {
			return nil, err
		}
		if held {
			all[name] = p
		}
	}
	return all, nil
}

// alone runs do while no other process is in alone.
func (f Folder) alone(do func() error) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("make the folder of profiles: %w", err)
	}
	dir, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("lock the folder of profiles: %w", err)
	}
	defer dir.Close() // and with it the lock
	for {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock the folder of profiles: %w", err)
	}
	return do()
}
