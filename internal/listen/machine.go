package listen

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Machine is this machine's name, for this user: the host's as it was the first time, and something random,
// so that it stays when the host is renamed, and no two are alike. It is kept in a file in dir.
func Machine(dir string) (string, error) {
	file := filepath.Join(dir, "machine")
	name, err := readMachine(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	host, _ := os.Hostname() // without one there is still the random part
	if err := writeMachine(file, machineName(host)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep this machine's name: %w", err)
	}
	return readMachine(file) // which another process may have written first
}

// MachineKey is this machine's key, for this user, from which secrets are made. It is kept in a file in dir.
func MachineKey(dir string) (string, error) {
	file := filepath.Join(dir, "machine-key")
	key, err := readMachineKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	var fresh [32]byte
	_, _ = rand.Read(fresh[:]) // never fails
	if err := writeMachine(file, hex.EncodeToString(fresh[:])); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep this machine's key: %w", err)
	}
	return readMachineKey(file)
}

func readMachineKey(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(key); err != nil || len(raw) != 32 {
		return "", fmt.Errorf("%s does not hold a machine's key: delete it, and another is made", file)
	}
	return key, nil
}

func readMachine(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(text))
	if name == "" || len(name) > 64 || cleanName(name) != name {
		return "", fmt.Errorf("%s does not hold a machine's name: delete it, and another is made", file)
	}
	return name, nil
}

// writeMachine makes the file as a whole, or not at all.
func writeMachine(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(file), ".machine-*") // which is for its owner only
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.WriteString(text + "\n")
	if err = errors.Join(err, draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), file) // fails if it is there
}

func machineName(host string) string {
	host, _, _ = strings.Cut(host, ".")
	host = cleanName(strings.ToLower(host))
	return strings.Trim(host[:min(len(host), 30)]+"-"+randomName(), "-")
}

// cleanName leaves what ids may be made of.
func cleanName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, name)
}

func randomName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
