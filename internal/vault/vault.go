// Package vault keeps the master key and seals with it what must not be readable at rest.
//
// It promises that sealed bytes open only with one of the keys, unchanged, and in the place they
// were sealed for. It refuses key files that others than their owner can read.
//
// A key file holds one key a line, 32 random bytes in base64. The first seals; all open. To
// rotate, put a new line above the others, let the store seal everything again, then drop the
// old lines.
//
//	sealed = version (1) ‖ key id (4) ‖ nonce (24) ‖ XChaCha20-Poly1305(plain, about ‖ header)
package vault

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/harkhq/hark/internal/store"
)

// What can be wrong with keys and with what they sealed.
var (
	// ErrExposed says that a key file can be read by others than its owner.
	ErrExposed = errors.New("the master key file can be read by others (chmod 600 it)")
	// ErrKey says that text holds no usable master key.
	ErrKey = errors.New("a master key is 32 bytes in base64")
	// ErrSealed says that bytes were not sealed by any of the keys, or not for this place.
	ErrSealed = errors.New("sealed with another master key, for another place, or damaged")
)

const (
	version    = 1
	idSize     = 4
	headerSize = 1 + idSize
	nonceSize  = chacha20poly1305.NonceSizeX
)

// Vault seals and opens. It is safe for concurrent use.
type Vault struct {
	master [32]byte // the first key
	keys   []key
}

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

var _ store.Sealer = (*Vault)(nil)

// Load reads a key file.
func Load(path string) (*Vault, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key %s: %w", path, ErrExposed)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	v, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("master key %s: %w", path, err)
	}
	return v, nil
}

// LoadOrCreate is Load, with a fresh key if there is no file.
func LoadOrCreate(path string) (*Vault, error) {
	v, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if err := create(path, NewKey()+"\n"); err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return Load(path)
}

// create writes a file that is wholly there or not at all, also after a power loss: a store must
// never be sealed with a key that was lost. An existing file is left alone.
func create(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	err = errors.Join(err, os.Remove(f.Name()))
	d, openErr := os.Open(filepath.Dir(path))
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	return errors.Join(err, d.Sync(), d.Close())
}

// NewKey makes the text of a fresh key.
func NewKey() string {
	var k [32]byte
	_, _ = rand.Read(k[:]) // crypto/rand.Read never fails (Go 1.24)
	return base64.StdEncoding.EncodeToString(k[:])
}

// Parse reads keys from text: the content of a key file, or of HARK_MASTER_KEY. Several keys
// stand on lines of their own; empty lines and those that begin with # are skipped.
func Parse(text string) (*Vault, error) {
	v := &Vault{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != 32 {
			return nil, ErrKey // and not what it was
		}
		if err := v.add([32]byte(raw)); err != nil {
			return nil, err
		}
	}
	if len(v.keys) == 0 {
		return nil, ErrKey
	}
	return v, nil
}

func (v *Vault) add(master [32]byte) error {
	if len(v.keys) == 0 {
		v.master = master
	}
	sealing := derive(master, "hark/seal")
	aead, err := chacha20poly1305.NewX(sealing[:])
	if err != nil {
		return fmt.Errorf("master key: %w", err)
	}
	// The id is derived too, so that it tells nothing about the key.
	id := derive(master, "hark/key id")
	v.keys = append(v.keys, key{id: [idSize]byte(id[:idSize]), aead: aead})
	return nil
}

// Seal encrypts plain with the first key, bound to about.
func (v *Vault) Seal(plain, about []byte) []byte {
	k := v.keys[0]
	sealed := make([]byte, headerSize+nonceSize, headerSize+nonceSize+len(plain)+k.aead.Overhead())
	sealed[0] = version
	copy(sealed[1:], k.id[:])
	nonce := sealed[headerSize:]
	_, _ = rand.Read(nonce)
	return k.aead.Seal(sealed, nonce, plain, bind(about, sealed[:headerSize]))
}

// Open decrypts what Seal made for the same about, with whichever of the keys did.
func (v *Vault) Open(sealed, about []byte) ([]byte, error) {
	if len(sealed) < headerSize+nonceSize || sealed[0] != version {
		return nil, ErrSealed
	}
	header, rest := sealed[:headerSize], sealed[headerSize:]
	for _, k := range v.keys {
		if !bytes.Equal(k.id[:], header[1:]) {
			continue
		}
		if plain, err := k.aead.Open(nil, rest[:nonceSize], rest[nonceSize:], bind(about, header)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

func bind(about, header []byte) []byte { return slices.Concat(about, header) }

// Derive makes a key for another purpose (signing tokens) from the first key. Different purposes
// get independent keys, and none tells anything about the master key. Rotation changes them.
func (v *Vault) Derive(purpose string) [32]byte {
	return derive(v.master, "hark/derive/"+purpose)
}

func derive(master [32]byte, info string) [32]byte {
	out, err := hkdf.Key(sha256.New, master[:], nil, info, 32)
	if err != nil {
		panic("hkdf: " + err.Error()) // only lengths that are constants here can be wrong
	}
	return [32]byte(out)
}

// String hides the keys from fmt and slog.
func (v *Vault) String() string { return "•••" }

// GoString hides the keys from %#v.
func (v *Vault) GoString() string { return "•••" }
