package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
)

const (
	testOrg = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
	testApp = "app_23rb8YdGqMT0qIzpgGwdXfHirMu"
)

// memory is a store of keys, environments and applications.
type memory struct {
	keys  map[[32]byte]hark.Key
	envs  map[hark.EnvironmentID]hark.Environment
	apps  map[hark.ApplicationID]hark.Application
	reads atomic.Int64
}

func newMemory() *memory {
	return &memory{keys: map[[32]byte]hark.Key{}, envs: map[hark.EnvironmentID]hark.Environment{},
		apps: map[hark.ApplicationID]hark.Application{}}
}

func (m *memory) KeyByHash(_ context.Context, hash [32]byte) (hark.Key, error) {
	m.reads.Add(1)
	key, ok := m.keys[hash]
	if !ok {
		return key, hark.ErrNotFound
	}
	return key, nil
}

func (m *memory) Environment(_ context.Context, id hark.EnvironmentID) (hark.Environment, error) {
	env, ok := m.envs[id]
	if !ok {
		return env, hark.ErrNotFound
	}
	return env, nil
}

func (m *memory) InsertEnvironment(_ context.Context, env hark.Environment) error {
	m.envs[env.ID] = env
	return nil
}

func (m *memory) Application(_ context.Context, env hark.EnvironmentID, id string) (hark.Application, error) {
	app, ok := m.apps[hark.ApplicationID(id)]
	if !ok || app.EnvironmentID != env {
		return hark.Application{}, hark.ErrNotFound
	}
	return app, nil
}

// issue keeps a new key.
func (m *memory) issue(change func(*hark.Key)) (text string) {
	issued := NewKey(hark.Environment{ID: testOrg, Name: "live"}, hark.ScopePublish, "robot", time.Now())
	if change != nil {
		change(&issued.Key)
	}
	m.keys[issued.Key.Hash] = issued.Key
	return issued.Text
}

func newTest(t testing.TB, opt Options) (*Authenticator, *memory) {
	t.Helper()
	store := newMemory()
	opt.Store = store
	a, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return a, store
}

func sign(t testing.TB, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAuthenticate_KnowsAKey(t *testing.T) {
	a, store := newTest(t, Options{})
	text := store.issue(func(k *hark.Key) { k.ApplicationID = testApp })
	got, err := a.Authenticate(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	want := &Principal{EnvironmentID: testOrg, Scope: hark.ScopePublish, ApplicationID: testApp,
		Capabilities: AllCapabilities, KeyID: got.KeyID, Actor: "robot"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAuthenticate_AnswersTheSameToAllThatIsWrong(t *testing.T) {
	secret := []byte("a secret that is long enough for it")
	a, store := newTest(t, Options{JWTSecret: secret})
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	now := time.Now()
	for name, text := range map[string]string{
		"nothing":         "",
		"noise":           "what is this",
		"unknown key":     generateKey("live"),
		"expired key":     store.issue(func(k *hark.Key) { k.ExpiresAt = now.Add(-time.Second) }),
		"revoked key":     store.issue(func(k *hark.Key) { k.RevokedAt = now.Add(-time.Second) }),
		"too long":        strings.Repeat("x", 10_000),
		"other secret":    sign(t, jwt.SigningMethodHS256, []byte("some other secret of some length"), jwt.MapClaims{"sub": testOrg}),
		"no signature":    sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": testOrg}),
		"other algorithm": sign(t, jwt.SigningMethodEdDSA, private, jwt.MapClaims{"sub": testOrg}),
		"expired token":   sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": testOrg, "exp": now.Add(-time.Minute).Unix()}),
		"early token":     sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": testOrg, "nbf": now.Add(time.Minute).Unix()}),
	} {
		p, err := a.Authenticate(t.Context(), text)
		if e, ok := errors.AsType[*hark.Error](err); !ok || e.Code != hark.Unauthenticated || e.Detail != "Invalid token" {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestAuthenticate_TellsThoseWhoSendTheSecretItself(t *testing.T) {
	a, _ := newTest(t, Options{JWTSecret: []byte("a secret that is long enough for it")})
	_, err := a.Authenticate(t.Context(), "a secret that is long enough for it")
	if hark.CodeOf(err) != hark.Unauthenticated || !strings.Contains(err.Error(), "JWT secret") {
		t.Errorf("got %v", err)
	}
}

func TestAuthenticate_TakesSvixTokensOfEveryAlgorithm(t *testing.T) {
	secret := []byte("a secret that is long enough for it")
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := func(key crypto.PublicKey) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	claims := jwt.MapClaims{"sub": testOrg, "iss": "svix-server", "exp": time.Now().Add(time.Hour).Unix()}
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
		opt    Options
	}{
		{jwt.SigningMethodHS256, secret, Options{JWTSecret: secret}},
		{jwt.SigningMethodHS384, secret, Options{JWTSecret: secret}},
		{jwt.SigningMethodHS512, secret, Options{JWTSecret: secret}},
		{jwt.SigningMethodEdDSA, private, Options{JWTPublicKey: asPEM(public)}},
		{jwt.SigningMethodRS256, rsaKey, Options{JWTPublicKey: asPEM(&rsaKey.PublicKey)}},
		{jwt.SigningMethodRS512, rsaKey, Options{JWTPublicKey: asPEM(&rsaKey.PublicKey)}},
	} {
		a, store := newTest(t, c.opt)
		p, err := a.Authenticate(t.Context(), sign(t, c.method, c.key, claims))
		if err != nil || p.EnvironmentID != testOrg || p.Scope != hark.ScopeAdmin || p.Portal {
			t.Errorf("%s: %+v, %v", c.method.Alg(), p, err)
		}
		if store.envs[testOrg].ID != testOrg {
			t.Errorf("%s: the environment was not made", c.method.Alg())
		}
	}
}

// The classic mistake: a token signed with the public key as if it were a shared secret.
func TestAuthenticate_NeverTakesAPublicKeyForASecret(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for _, secret := range [][]byte{nil, []byte("a token secret that nobody knows")} {
		a, _ := newTest(t, Options{JWTPublicKey: public, TokenSecret: secret})
		for _, key := range [][]byte{public, der} {
			if _, err := a.Authenticate(t.Context(), sign(t, jwt.SigningMethodHS256, key, jwt.MapClaims{"sub": testOrg})); err == nil {
				t.Error("a forged token was taken")
			}
		}
	}
}

func TestAuthenticate_RefusesAGoodSignatureUnderAStrangeSubject(t *testing.T) {
	secret := []byte("a secret that is long enough for it")
	a, _ := newTest(t, Options{JWTSecret: secret})
	for _, c := range []jwt.MapClaims{
		{"sub": "user_1"}, {"sub": "org_short"}, {}, {"sub": testApp},
		{"org": testOrg, "sub": testOrg}, {"org": "org_short", "sub": testApp},
	} {
		if _, err := a.Authenticate(t.Context(), sign(t, jwt.SigningMethodHS256, secret, c)); hark.CodeOf(err) != hark.BadToken {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestIssueAppToken_LetsACustomerIntoOneApplication(t *testing.T) {
	for name, opt := range map[string]Options{
		"own secret": {TokenSecret: []byte("a token secret that nobody knows")},
		"jwt secret": {JWTSecret: []byte("a secret that is long enough for it")},
	} {
		a, _ := newTest(t, opt)
		text, err := a.IssueAppToken(AppToken{EnvironmentID: testOrg, ApplicationID: testApp,
			FeatureFlags: []string{"beta"}, Capabilities: ViewBase | CreateAttempts, SessionID: "s1"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Authenticate(t.Context(), text)
		want := &Principal{EnvironmentID: testOrg, Scope: hark.ScopeAdmin, ApplicationID: testApp, Portal: true,
			Capabilities: ViewBase | CreateAttempts, Flags: []string{"beta"}, Actor: testApp + " s1"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	a, _ := newTest(t, Options{})
	if _, err := a.IssueAppToken(AppToken{}, time.Now()); hark.CodeOf(err) != hark.NotImplemented {
		t.Errorf("without a secret: %v", err)
	}
}

func TestAuthenticate_TakesTheBootstrapKey(t *testing.T) {
	key := strings.Repeat("k", MinBootstrapKey)
	a, _ := newTest(t, Options{BootstrapKey: key, BootstrapEnvironment: testOrg})
	if p, err := a.Authenticate(t.Context(), key); err != nil || p.Scope != hark.ScopeAdmin || p.EnvironmentID != testOrg {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := New(Options{BootstrapKey: key[1:]}); err == nil {
		t.Error("a short bootstrap key was taken")
	}
}

func TestAuthenticate_ForgetsARevokedKeyWithinStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := newTest(t, Options{})
		text := store.issue(nil)
		works := func() bool {
			_, err := a.Authenticate(t.Context(), text)
			return err == nil
		}
		for range 3 {
			if !works() {
				t.Fatal("a good key was refused")
			}
		}
		if n := store.reads.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
		key := store.keys[HashKey(text)]
		key.RevokedAt = time.Now()
		store.keys[key.Hash] = key
		time.Sleep(Staleness)
		if works() {
			t.Error("a revoked key works after Staleness")
		}
	})
}

func TestAuthenticate_EndsAKeyAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := newTest(t, Options{})
		ends := time.Now().Add(2 * time.Second)
		expiring := store.issue(func(k *hark.Key) { k.ExpiresAt = ends })
		overlapping := store.issue(func(k *hark.Key) { k.RevokedAt = ends }) // rotated
		for _, text := range []string{expiring, overlapping} {
			if _, err := a.Authenticate(t.Context(), text); err != nil {
				t.Errorf("before its end: %v", err)
			}
		}
		time.Sleep(2 * time.Second)
		for _, text := range []string{expiring, overlapping} {
			if _, err := a.Authenticate(t.Context(), text); err == nil {
				t.Error("it works after its end, out of the cache")
			}
		}
	})
}

func TestForget_EndsARevokedKeyAtOnce(t *testing.T) {
	a, store := newTest(t, Options{})
	text := store.issue(nil)
	if _, err := a.Authenticate(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	delete(store.keys, HashKey(text))
	a.Forget()
	if _, err := a.Authenticate(t.Context(), text); err == nil {
		t.Error("it still works")
	}
}

func TestAuthenticate_RemembersABoundedNumber(t *testing.T) {
	a, store := newTest(t, Options{})
	for range maxCached + 10 {
		if _, err := a.Authenticate(t.Context(), store.issue(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.cache); n > maxCached {
		t.Errorf("%d tokens remembered", n)
	}
}

func FuzzAuthenticate(f *testing.F) {
	secret := []byte("a secret that is long enough for it")
	a, _ := newTest(f, Options{JWTSecret: secret})
	f.Add(generateKey("live"))
	f.Add(sign(f, jwt.SigningMethodHS256, []byte("another"), jwt.MapClaims{"sub": testOrg}))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcmdfMjNyYjhZZEdxTVQwcUl6cGdHd2RYZkhpck11In0.")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := a.Authenticate(t.Context(), text); err == nil {
			t.Errorf("%q was taken for %+v", text, p)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	a, store := newTest(b, Options{})
	text := store.issue(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAuthenticate_RefusesTokensThatWereTakenBack(t *testing.T) {
	secret := []byte("a secret that is long enough for it")
	a, store := newTest(t, Options{JWTSecret: secret})
	back := time.Now().Truncate(time.Millisecond)
	issue := func(at time.Time) string {
		text, err := a.IssueAppToken(AppToken{EnvironmentID: testOrg, ApplicationID: testApp}, at)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	claims := jwt.MapClaims{"org": string(testOrg), "sub": string(testApp), "exp": back.Add(time.Hour).Unix()}
	timeless := sign(t, jwt.SigningMethodHS256, secret, claims)
	claims["iat"] = back.Add(-time.Minute).Unix()
	foreign := sign(t, jwt.SigningMethodHS256, secret, claims)
	before, after := issue(back), issue(back.Add(time.Millisecond))
	for _, text := range []string{timeless, foreign, before, after} {
		if _, err := a.Authenticate(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}

	store.apps[testApp] = hark.Application{ID: testApp, EnvironmentID: testOrg, TokensNotBefore: back}
	a.Forget()
	for name, text := range map[string]string{"without a time": timeless, "a Svix server's": foreign, "in the same millisecond": before} {
		if _, err := a.Authenticate(t.Context(), text); hark.CodeOf(err) != hark.Unauthenticated {
			t.Errorf("a token %s: %v, want it refused", name, err)
		}
	}
	if _, err := a.Authenticate(t.Context(), after); err != nil {
		t.Errorf("a token that was made after: %v", err)
	}
}
