package svix

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/harkhq/hark/webhook"
)

// Whatever stands in Svix's columns, what comes out can sign, or is refused without being quoted.
func FuzzSecret(f *testing.F) {
	f.Add(make([]byte, 24), []byte(`[{"signingKey":"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","expiration":"2026-11-02T09:00:00Z"}]`))
	f.Add(append([]byte{2}, make([]byte, 64)...), []byte(`null`))
	f.Add(append([]byte{0x81}, make([]byte, 64)...), []byte(`[{}]`))
	f.Fuzz(func(t *testing.T, kept, old []byte) {
		for _, o := range []opener{newOpener(""), newOpener("main secret")} {
			key, err := o.open(kept)
			if err != nil && key != "" || err == nil && !canSign(key.Reveal()) {
				t.Errorf("%q: %v", key.Reveal(), err)
			}
			secrets, _ := o.openOld(json.RawMessage(old), time.Time{}, time.Time{})
			for _, s := range secrets {
				if !canSign(s.Key.Reveal()) || s.ExpiresAt.IsZero() {
					t.Errorf("replaced: %q", s.Key.Reveal())
				}
			}
		}
	})
}

func canSign(text string) bool {
	key, err := webhook.ParseKey(text)
	return err == nil && key.CanSign()
}

func TestOpen_NeedsTheMainSecretForWhatIsEncrypted(t *testing.T) {
	for _, o := range []opener{newOpener(""), newOpener("another")} {
		if _, err := o.open(append([]byte{0x81}, make([]byte, 64)...)); !errors.Is(err, ErrMainSecret) {
			t.Errorf("got %v", err)
		}
	}
}
