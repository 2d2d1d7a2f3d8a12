package svix

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// How Svix keeps a signing secret: one byte that says what it is, and the secret. From its first days
// there are symmetric ones without that byte, which are exactly as long as one that was made.
const (
	markHMAC      = 1
	markEd25519   = 2
	markEncrypted = 0x80
	bareBytes     = 24
)

// ErrMainSecret says that secrets are encrypted, and the main secret is missing or another one.
var ErrMainSecret = errors.New("the endpoints' secrets are encrypted with a main secret, and it is not this one")

// opener decrypts secrets.
type opener struct{ key []byte } // nil: there is no main secret

func newOpener(mainSecret string) opener {
	if mainSecret == "" {
		return opener{}
	}
	mac := hmac.New(sha256.New, []byte(mainSecret))
	_, _ = mac.Write([]byte("main")) // a hash takes everything
	return opener{mac.Sum(nil)}
}

// open turns a secret as it is kept into its text.
func (o opener) open(kept []byte) (hark.SecretKey, error) {
	if len(kept) < bareBytes {
		return "", errors.New("its signing secret is too short")
	}
	mark, secret := byte(markHMAC), kept
	if len(kept) > bareBytes {
		mark, secret = kept[0], kept[1:]
	}
	if mark&markEncrypted != 0 {
		var err error
		if secret, err = o.decrypt(secret); err != nil {
			return "", err
		}
	}
	prefix := ""
	switch mark &^ markEncrypted {
	case markHMAC:
		prefix = "whsec_"
	case markEd25519:
		prefix = "whsk_"
	default:
		return "", fmt.Errorf("its signing secret is of an unknown kind (%d)", mark)
	}
	return checked(prefix + base64.StdEncoding.EncodeToString(secret))
}

// checked refuses what could not sign.
func checked(text string) (hark.SecretKey, error) {
	key, err := webhook.ParseKey(text)
	if err != nil {
		return "", fmt.Errorf("its signing secret: %w", err)
	}
	if !key.CanSign() {
		return "", errors.New("its signing secret cannot sign")
	}
	return hark.SecretKey(text), nil
}

// decrypt opens XChaCha20-Poly1305 with the nonce in front.
func (o opener) decrypt(sealed []byte) ([]byte, error) {
	if o.key == nil || len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrMainSecret
	}
	aead, err := chacha20poly1305.NewX(o.key)
	if err != nil {
		return nil, fmt.Errorf("main secret: %w", err)
	}
	plain, err := aead.Open(nil, sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:], nil)
	if err != nil {
		return nil, ErrMainSecret
	}
	return plain, nil
}

// oldKey is a secret that was replaced and still signs.
type oldKey struct {
	Key        string    `json:"signingKey"` // as it is kept, in base64; or its text
	Expiration time.Time `json:"expiration"`
}

// openOld turns the replaced secrets that are good for some time yet into secrets, the newest first.
// problems are those that cannot be taken.
func (o opener) openOld(raw json.RawMessage, created, now time.Time) (secrets []hark.Secret, problems []error) {
	var keys []oldKey
	if err := json.Unmarshal(raw, &keys); len(raw) > 0 && err != nil {
		return nil, []error{errors.New("its replaced signing secrets cannot be read")} // the cause would quote them
	}
	for _, k := range keys {
		if !k.Expiration.After(now) {
			continue
		}
		text, err := o.openText(k.Key)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		secrets = append(secrets, hark.Secret{Key: text, CreatedAt: created, ExpiresAt: k.Expiration.UTC()})
	}
	slices.SortStableFunc(secrets, func(a, b hark.Secret) int { return b.ExpiresAt.Compare(a.ExpiresAt) })
	return secrets, problems
}

func (o opener) openText(text string) (hark.SecretKey, error) {
	if strings.HasPrefix(text, "whsec_") {
		return checked(text)
	}
	kept, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", errors.New("a replaced signing secret is no base64")
	}
	return o.open(kept)
}
