// Package profile keeps which servers a person works with: their URLs and API keys, by name, in one
// file below the XDG configuration folder.
//
// It promises that the file is readable by its owner only (0600 in a folder of 0700), is written as a
// whole or not at all, and that of two commands that change it at once both take effect. A profile
// can also be held: it is there while a process runs and gone when that ends, however it ends,
// because the kernel's lock on its file says so and not the file.
//
// It refuses names that could lead out of the folder. It prints nothing, and asks no server.
package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/harkhq/hark/internal/config"
)

// Profile is one server and who somebody is there.
type Profile struct {
	URL           string
	Key           config.Secret
	EnvironmentID string
	Environment   string // its name
	Scope         string
	// Application is the one that the key is for, or that commands mean when they name none; "" is neither.
	Application string
	// Sources are where example events go when nobody says where; only a held profile has them.
	Sources []Source
}

// Source is a source of the server whose signing secret is known here.
type Source struct {
	ID       string
	Provider string
	Secret   config.Secret
}

// Profiles are all that are kept.
type Profiles struct {
	Use    string // the name of the one that is meant when nobody names one; "" is none
	ByName map[string]Profile
}

// ErrNoHome is an environment that has no place for configuration.
var ErrNoHome = errors.New("neither XDG_CONFIG_HOME nor HOME says where configuration is kept")

// Folder is where profiles are kept. Nothing is made before something is written.
type Folder string

// Find finds the folder that the environment names.
func Find(lookup func(string) (string, bool)) (Folder, error) {
	if dir, _ := lookup("XDG_CONFIG_HOME"); filepath.IsAbs(dir) { // others are to be ignored, says XDG
		return Folder(filepath.Join(dir, "hark")), nil
	}
	if home, _ := lookup("HOME"); filepath.IsAbs(home) {
		return Folder(filepath.Join(home, ".config", "hark")), nil
	}
	return "", ErrNoHome
}

// Path is the file of all profiles but those that are held.
func (f Folder) Path() string { return filepath.Join(string(f), "profiles.json") }

// Secret answers the secret that is this machine's own, for trying things out; fresh makes it when it is asked
// for the first time.
func (f Folder) Secret(fresh func() string) (config.Secret, error) {
	path := filepath.Join(string(f), "dev-secret")
	var secret config.Secret
	err := f.alone(func() error {
		text, err := config.ReadSecret(path)
		if !errors.Is(err, os.ErrNotExist) {
			secret = config.Secret(text)
			return err
		}
		secret = config.Secret(fresh())
		file, err := writeBeside(path, []byte(secret.Reveal()+"\n"))
		if err != nil {
			return fmt.Errorf("keep the secret of this machine: %w", err)
		}
		defer file.Close()
		return os.Rename(file.Name(), path)
	})
	return secret, err
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9._:-]{0,99}$`)

// CheckName says what is wrong with a name.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no name for a profile: letters, digits and . _ : - make one", name)
	}
	return nil
}

// wire is a profile in the file; config.Secret would write dots.
type wire struct {
	URL           string       `json:"url"`
	Key           string       `json:"key"`
	EnvironmentID string       `json:"environmentId,omitempty"`
	Environment   string       `json:"environment,omitempty"`
	Scope         string       `json:"scope,omitempty"`
	Application   string       `json:"application,omitempty"`
	Sources       []wireSource `json:"sources,omitempty"`
}

type wireSource struct {
	ID       string `json:"id"`
	Provider string `json:"provider,omitempty"`
	Secret   string `json:"secret,omitempty"`
}

type wireProfiles struct {
	Use      string          `json:"use,omitempty"`
	Profiles map[string]wire `json:"profiles"`
}

func (p Profile) wire() wire {
	w := wire{URL: p.URL, Key: p.Key.Reveal(), EnvironmentID: p.EnvironmentID, Environment: p.Environment,
		Scope: p.Scope, Application: p.Application}
	for _, s := range p.Sources {
		w.Sources = append(w.Sources, wireSource{s.ID, s.Provider, s.Secret.Reveal()})
	}
	return w
}

func (w wire) profile() Profile {
	p := Profile{URL: w.URL, Key: config.Secret(w.Key), EnvironmentID: w.EnvironmentID, Environment: w.Environment,
		Scope: w.Scope, Application: w.Application}
	for _, s := range w.Sources {
		p.Sources = append(p.Sources, Source{s.ID, s.Provider, config.Secret(s.Secret)})
	}
	return p
}

// Read reads all profiles that are kept; no file is no profiles.
func (f Folder) Read() (Profiles, error) {
	all := Profiles{ByName: map[string]Profile{}}
	text, err := os.ReadFile(f.Path())
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, fmt.Errorf("read profiles: %w", err)
	}
	var w wireProfiles
	if err := json.Unmarshal(text, &w); err != nil {
		return all, fmt.Errorf("read profiles: %s: %w", f.Path(), err)
	}
	all.Use = w.Use
	for name, p := range w.Profiles {
		all.ByName[name] = p.profile()
	}
	return all, nil
}

// Change reads all profiles, changes them and writes them, while nobody else does. Nothing is
// written when change fails.
func (f Folder) Change(change func(*Profiles) error) error {
	return f.alone(func() error {
		all, err := f.Read()
		if err != nil {
			return err
		}
		if err := change(&all); err != nil {
			return err
		}
		w := wireProfiles{Use: all.Use, Profiles: map[string]wire{}}
		for name, p := range all.ByName {
			w.Profiles[name] = p.wire()
		}
		path := f.Path()
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target // people keep such files elsewhere, and link to them
		}
		text, err := encode(w)
		if err != nil {
			return err
		}
		file, err := writeBeside(path, text)
		if err != nil {
			return fmt.Errorf("keep profiles: %w", err)
		}
		defer file.Close()
		if err := os.Rename(file.Name(), path); err != nil {
			return fmt.Errorf("keep profiles: %w", errors.Join(err, os.Remove(file.Name())))
		}
		return nil
	})
}

func encode(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}

// writeBeside writes to a new file in the folder of path, through to the disk. It is 0600 from its
// first moment.
func writeBeside(path string, text []byte) (*os.File, error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync()); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return file, nil
}
