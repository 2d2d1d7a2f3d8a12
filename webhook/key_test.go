package webhook

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestParseKey_Lengths(t *testing.T) {
	for n := range 120 {
		_, err := ParseKey("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)))
		if (err == nil) != (n >= 24 && n <= 75) {
			t.Errorf("whsec_ of %d bytes: %v", n, err)
		}
		if err != nil && !errors.Is(err, ErrKey) {
			t.Errorf("error %v is no ErrKey", err)
		}
	}
}

func TestParseKey_Refuses(t *testing.T) {
	mixed := GenerateSigningKeyPair().Text()
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(mixed, "whsk_"))
	raw[63] ^= 1
	for _, text := range []string{
		"", "whsec_", "whsk_", "whpk_", "_", "whsec", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"whsec_!!!!9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
		"whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"whxx_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec1_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		strings.Replace(vectorPrivate, "whsk", "whpk", 1), strings.Replace(vectorPublic, "whpk", "whsk", 1),
		strings.TrimRight(vectorPublic, "="), "whsk_" + base64.StdEncoding.EncodeToString(raw),
	} {
		_, err := ParseKey(text)
		if !errors.Is(err, ErrKey) {
			t.Errorf("%q: error %v, want %v", text, err, ErrKey)
			continue
		}
		if len(text) > 20 && strings.Contains(err.Error(), text[10:20]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	if _, err := NewVerifier(StandardWebhooks, Options{Secrets: []string{vectorSecret, "whsec_"}}); !errors.Is(err, ErrKey) {
		t.Errorf("a verifier with an empty secret: %v", err)
	}
}

func TestKey_TextsRoundTrip(t *testing.T) {
	for _, c := range []struct {
		key            Key
		version        string
		canSign, equal bool
	}{
		{GenerateKey(), "v1", true, true},
		{GenerateSigningKeyPair(), "v1a", true, false},
		{mustKey(t, vectorSecret), "v1", true, true},
		{mustKey(t, vectorPrivate), "v1a", true, false},
		{mustKey(t, vectorPublic), "v1a", false, true},
	} {
		if got := mustKey(t, c.key.Text()).Text(); got != c.key.Text() {
			t.Error("the text does not round trip")
		}
		if c.key.Version() != c.version || c.key.CanSign() != c.canSign || (c.key.Public() == c.key.Text()) != c.equal {
			t.Errorf("version %s, can sign %v, public is text %v", c.key.Version(), c.key.CanSign(), c.key.Public() == c.key.Text())
		}
	}
	if k := mustKey(t, vectorPrivate); k.Public() != vectorPublic || k.Text() != vectorPrivate {
		t.Error("the ed25519 vector's halves do not fit")
	}
	var zero Key
	if !zero.IsZero() || zero.CanSign() || zero.Text()+zero.Public()+zero.Version() != "" || zero.AppendSignature(nil, "a", 1, nil) != nil {
		t.Error("the zero Key is something")
	}
}

func TestKey_NeverPrints(t *testing.T) {
	for _, k := range []Key{mustKey(t, vectorSecret), mustKey(t, vectorPrivate)} {
		holder := struct {
			K Key
			k Key
			V *Verifier
		}{k, k, mustVerifier(t, k.Text()).Verifier}
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, k)
			fmt.Fprintf(&out, verb, holder)
			fmt.Fprintf(&out, verb, *holder.V)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", k, "holder", holder)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", k, "holder", holder)
		secret := k.Text()[6:]
		raw, _ := base64.StdEncoding.DecodeString(secret)
		for _, leak := range []string{secret[:12], fmt.Sprintf("%x", raw[:8]), strings.Trim(fmt.Sprint(raw[:6]), "[]")} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%s leaked into %s", leak, out.String())
			}
		}
	}
}

func TestKey_SignsConcurrently(t *testing.T) {
	for _, c := range []struct{ secret, want string }{{vectorSecret, vectorV1}, {vectorPrivate, vectorV1a}} {
		k := mustKey(t, c.secret)
		t.Run(k.Version(), func(t *testing.T) {
			for range 4 {
				t.Run("", func(t *testing.T) {
					t.Parallel()
					for range 50 {
						k.AppendSignature(nil, "other", 1, bytes.Repeat([]byte("x"), 3000))
						if got := string(k.AppendSignature(nil, vectorID, vectorTime, []byte(vectorBody))); got != c.want {
							t.Fatalf("signature %s, want %s", got, c.want)
						}
					}
				})
			}
		})
	}
}

func TestAppendSignature_AllocatesNothing(t *testing.T) {
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	k, body, dst := GenerateKey(), make([]byte, 1024), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(1000, func() { dst = k.AppendSignature(dst[:0], vectorID, vectorTime, body) }); n >= 1 {
		t.Errorf("%v allocations per signature, want 0", n)
	}
}

func FuzzParseKey(f *testing.F) {
	for _, text := range []string{vectorSecret, vectorPrivate, vectorPublic, "whsec_", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			return
		}
		if again := mustKey(t, k.Text()); again.Text() != k.Text() {
			t.Errorf("%q does not round trip", text)
		}
	})
}
