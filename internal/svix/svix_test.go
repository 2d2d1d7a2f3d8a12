package svix_test

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgrestest"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/internal/svix"
	"github.com/harkhq/hark/webhook"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// schema is what an import reads of Svix's tables.
const schema = `
CREATE TABLE application (id varchar PRIMARY KEY, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, org_id varchar NOT NULL,
  uid varchar, name varchar NOT NULL, rate_limit integer, deleted boolean NOT NULL);
CREATE TABLE applicationmetadata (created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, id varchar PRIMARY KEY, data jsonb NOT NULL);
CREATE TABLE endpoint (id varchar PRIMARY KEY, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, app_id varchar NOT NULL, key bytea NOT NULL,
  url varchar NOT NULL, description varchar NOT NULL, event_types_ids jsonb, version integer NOT NULL, rate_limit integer, deleted boolean NOT NULL,
  disabled boolean NOT NULL, first_failure_at timestamptz, uid varchar, old_keys jsonb, channels jsonb, headers jsonb);
CREATE TABLE endpointmetadata (created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, id varchar PRIMARY KEY, data jsonb NOT NULL);
CREATE TABLE eventtype (created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, id varchar PRIMARY KEY, org_id varchar NOT NULL,
  description varchar NOT NULL, deleted boolean NOT NULL, schemas json, name varchar NOT NULL, feature_flag text, deprecated boolean DEFAULT false NOT NULL);
`

const (
	org        = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
	other      = "org_23rb8YdGqMT0qIzpgGwdXfHirMv"
	management = "org_00000000000SvixManagement00"
	mainSecret = "a secret that stands in the configuration"
)

var now = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// server is a Svix server's database.
type server struct {
	*testing.T
	url string
	c   *pgx.Conn
}

func newServer(t *testing.T) *server {
	t.Helper()
	url := postgrestest.Shared(t).Database(t, "svix", func(url string) error {
		c, err := pgx.Connect(context.Background(), url)
		if err != nil {
			return err
		}
		_, err = c.Exec(context.Background(), schema)
		return errors.Join(err, c.Close(context.Background()))
	})
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return &server{t, url, c}
}

func (s *server) exec(query string, args ...any) {
	s.Helper()
	if _, err := s.c.Exec(s.Context(), query, args...); err != nil {
		s.Fatal(err)
	}
}

func id(prefix string, n int) string {
	return prefix + "2POKhK6pz91yFxPrGh92s2g38" + string(rune('a'+n/26)) + string(rune('a'+n%26))
}

// application adds one; its uid is "" for none.
func (s *server) application(n int, organization, uid string) string {
	s.Helper()
	app := id("app_", n)
	s.exec(`INSERT INTO application VALUES ($1, $2, $2, $3, nullif($4, ''), 'Customer', 50, false)`, app, now.Add(-time.Hour), organization, uid)
	return app
}

// endpoint adds one with the secret as Svix keeps it.
func (s *server) endpoint(n int, app string, key []byte) string {
	s.Helper()
	ep := id("ep_", n)
	s.exec(`INSERT INTO endpoint (id, created_at, updated_at, app_id, key, url, description, version, deleted, disabled)
VALUES ($1, $2, $3, $4, $5, 'https://example.com/hook', 'a hook', 1, false, false)`, ep, now.Add(-time.Hour), now.Add(-time.Minute+123456*time.Microsecond), app, key)
	return ep
}

// encrypted is a secret as a server with a main secret keeps it.
func encrypted(t *testing.T, mark byte, secret []byte) []byte {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(mainSecret))
	mac.Write([]byte("main"))
	aead, err := chacha20poly1305.NewX(mac.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return append([]byte{mark | 0x80}, aead.Seal(nonce, nonce, secret, nil)...)
}

func newStore(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *server) moveIn(to store.Store, change func(*svix.Options)) (svix.Report, error) {
	s.Helper()
	opt := svix.Options{From: s.url, Environment: "live", MainSecret: mainSecret}
	if change != nil {
		change(&opt)
	}
	return svix.Import(s.Context(), to, opt, now)
}

func (s *server) mustMoveIn(to store.Store, change func(*svix.Options)) svix.Report {
	s.Helper()
	report, err := s.moveIn(to, change)
	if err != nil {
		s.Fatal(err)
	}
	return report
}

func find(t *testing.T, s store.Store, env hark.EnvironmentID, app, endpoint string) hark.Endpoint {
	t.Helper()
	a, err := s.Application(t.Context(), env, app)
	if err != nil {
		t.Fatal(err)
	}
	ep, err := s.Endpoint(t.Context(), a.Ref, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return ep
}

// signs says whether a secret's signature over a message is the one that a receiver of before expects.
func signs(t *testing.T, text string, secret []byte) bool {
	t.Helper()
	key, err := webhook.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"test":1}`)
	signature := webhook.Sign([]webhook.Key{key}, "msg_1", now, body).Get("webhook-signature")
	signed := fmt.Appendf(nil, "msg_1.%d.%s", now.Unix(), body)
	if encoded, ok := strings.CutPrefix(signature, "v1a,"); ok {
		raw, err := base64.StdEncoding.DecodeString(encoded)
		return err == nil && ed25519.Verify(ed25519.PrivateKey(secret).Public().(ed25519.PublicKey), signed, raw)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(signed)
	return signature == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func whsec(secret []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(secret) }

func TestImport_KeepsEverySigningSecret(t *testing.T) {
	s := newServer(t)
	app := s.application(0, org, "customer-1")
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	whsk := "whsk_" + base64.StdEncoding.EncodeToString(private)
	bare, marked, long, hidden := random(24), random(24), random(60), random(32)
	keys := []struct {
		name   string
		kept   []byte
		secret []byte
		want   string
	}{
		{"from the first days", bare, bare, whsec(bare)},
		{"plain", append([]byte{1}, marked...), marked, whsec(marked)},
		{"long", append([]byte{1}, long...), long, whsec(long)},
		{"ed25519", append([]byte{2}, private...), private, whsk},
		{"encrypted", encrypted(t, 1, hidden), hidden, whsec(hidden)},
		{"ed25519, encrypted", encrypted(t, 2, private), private, whsk},
	}
	for n, key := range keys {
		s.endpoint(n, app, key.kept)
	}
	to := newStore(t)
	report := s.mustMoveIn(to, nil)
	for n, key := range keys {
		got := find(t, to, report.Environment, app, id("ep_", n))
		if len(got.Secrets) != 1 || got.Secrets[0].Key.Reveal() != key.want || !got.Secrets[0].ExpiresAt.IsZero() {
			t.Errorf("%s: it is not the secret of before", key.name)
		} else if !signs(t, got.Secrets[0].Key.Reveal(), key.secret) {
			t.Errorf("%s: it does not sign as before", key.name)
		}
	}
}

func TestImport_KeepsReplacedSecretsThatAreStillGood(t *testing.T) {
	s := newServer(t)
	app := s.application(0, org, "")
	current, old, older, gone := random(24), random(24), random(24), random(24)
	ep := s.endpoint(0, app, append([]byte{1}, current...))
	s.exec(`UPDATE endpoint SET old_keys = $1`, mustJSON(t, []map[string]any{
		{"signingKey": whsec(older), "expiration": now.Add(time.Hour)},
		{"signingKey": base64.StdEncoding.EncodeToString(gone), "expiration": now.Add(-time.Minute)},
		{"signingKey": base64.StdEncoding.EncodeToString(encrypted(t, 1, old)), "expiration": now.Add(2 * time.Hour)},
		{"signingKey": "what?", "expiration": now.Add(time.Hour)},
	}))
	to := newStore(t)
	report := s.mustMoveIn(to, nil)
	var got []string
	for _, secret := range find(t, to, report.Environment, app, ep).Secrets {
		until := "for ever"
		if !secret.ExpiresAt.IsZero() {
			until = secret.ExpiresAt.Sub(now).String()
		}
		got = append(got, secret.Key.Reveal()+" "+until)
	}
	want := []string{whsec(current) + " for ever", whsec(old) + " 2h0m0s", whsec(older) + " 1h0m0s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0].Why, "base64") {
		t.Errorf("notes: %+v", report.Notes)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// full makes an organization with something of everything.
func full(t *testing.T) (s *server, app, ep string) {
	s = newServer(t)
	app = s.application(0, org, "customer-1")
	s.exec(`INSERT INTO applicationmetadata VALUES ($1, $1, $2, '{"tier": "gold"}')`, now.Add(-time.Minute), app)
	ep = s.endpoint(0, app, random(24))
	s.exec(`UPDATE endpoint SET uid = 'shop', event_types_ids = '["invoice.paid"]', channels = '["eu"]', headers = '{"X-Token": "t", "Connection": "close"}',
  rate_limit = 7, disabled = true, url = 'https://EXAMPLE.com', version = 3`)
	s.exec(`INSERT INTO endpointmetadata VALUES ($1, $1, $2, '{"a": "b"}')`, now.Add(-time.Hour), ep)
	s.exec(`INSERT INTO eventtype VALUES ($1, $1, 'evtype_1', $2, 'An invoice was paid.', false, '{"1": {"type":  "object"}}', 'invoice.paid', 'beta', true)`, now.Add(-time.Hour), org)
	s.exec(`INSERT INTO eventtype VALUES ($1, $1, 'evtype_2', $2, '', true, NULL, 'invoice.old', NULL)`, now.Add(-time.Hour), org)
	s.application(1, org, "")
	gone := s.application(2, org, "")
	s.exec(`UPDATE application SET deleted = true WHERE id = $1`, gone)
	s.endpoint(1, gone, random(24))
	s.endpoint(2, app, random(24))
	s.exec(`UPDATE endpoint SET deleted = true WHERE id = $1`, id("ep_", 2))
	s.exec(`INSERT INTO eventtype VALUES ($1, $1, 'evtype_3', $2, '', false, NULL, 'endpoint.created', NULL)`, now, management)
	return s, app, ep
}

func TestImport_TakesEverythingOfAnOrganization(t *testing.T) {
	s, app, ep := full(t)
	to := newStore(t)
	report := s.mustMoveIn(to, nil)
	want := svix.Report{Organization: org, Environment: org, EventTypes: svix.Tally{Added: 2}, Applications: svix.Tally{Added: 2}, Endpoints: svix.Tally{Added: 1},
		Notes: []svix.Note{{What: "endpoint " + ep, Why: `its header "Connection" was not taken: this header cannot be set`}}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	a, err := to.Application(t.Context(), org, "customer-1")
	if err != nil {
		t.Fatal(err)
	}
	if string(a.ID) != app || a.Name != "Customer" || a.ThrottleRate != 50 || a.Metadata["tier"] != "gold" || !a.CreatedAt.Equal(now.Add(-time.Hour)) || !a.UpdatedAt.Equal(now.Add(-time.Minute)) {
		t.Errorf("application: %+v", a)
	}
	got := find(t, to, org, app, "shop")
	if got.Secrets == nil {
		t.Error("no secret")
	}
	got.Secrets, got.Ref, got.ApplicationRef = nil, 0, 0
	if diff := cmp.Diff(hark.Endpoint{
		ID: hark.EndpointID(ep), UID: "shop", URL: "https://example.com/", Description: "a hook", Version: 3, Metadata: map[string]string{"a": "b"},
		Headers: map[string]string{"X-Token": "t"}, EventTypes: []string{"invoice.paid"}, Channels: []string{"eu"}, ThrottleRate: 7,
		Disabled: true, DisabledAt: now.Add(-time.Minute + 123*time.Millisecond), CreatedAt: now.Add(-time.Hour), UpdatedAt: now.Add(-time.Minute + 123*time.Millisecond),
	}, got); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	types, err := to.ListEventTypes(t.Context(), org, store.EventTypeFilter{IncludeArchived: true}, store.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]hark.EventType{
		{EnvironmentID: org, Name: "invoice.old", Archived: true, CreatedAt: now.Add(-time.Hour), UpdatedAt: now.Add(-time.Hour)},
		{EnvironmentID: org, Name: "invoice.paid", Description: "An invoice was paid.", Deprecated: true, Schemas: json.RawMessage(`{"1": {"type":  "object"}}`),
			FeatureFlags: []string{"beta"}, CreatedAt: now.Add(-time.Hour), UpdatedAt: now.Add(-time.Hour)},
	}, types); diff != "" {
		t.Errorf("event types (-want +got):\n%s", diff)
	}
}

func TestImport_AgainTakesWhatWasChangedInSvixOnly(t *testing.T) {
	s, app, ep := full(t)
	to := newStore(t)
	if dry := s.mustMoveIn(to, func(o *svix.Options) { o.DryRun = true }); dry.Endpoints.Added != 1 || dry.Applications.Added != 2 || dry.EventTypes.Added != 2 {
		t.Errorf("dry run: %+v", dry)
	}
	if envs, err := to.ListEnvironments(t.Context()); err != nil || len(envs) != 0 {
		t.Fatalf("a dry run wrote: %v %v", envs, err)
	}
	s.mustMoveIn(to, nil)
	again := s.mustMoveIn(to, nil)
	if diff := cmp.Diff([]svix.Tally{{Unchanged: 2}, {Unchanged: 2}, {Unchanged: 1}}, []svix.Tally{again.EventTypes, again.Applications, again.Endpoints}); diff != "" {
		t.Errorf("nothing was changed (-want +got):\n%s", diff)
	}

	// Here, somebody changes one application; in Svix, the other and the endpoint.
	if _, err := to.UpdateApplication(t.Context(), org, id("app_", 1), func(a *hark.Application) error { a.Name, a.UpdatedAt = "ours", now; return nil }); err != nil {
		t.Fatal(err)
	}
	live, err := to.Application(t.Context(), org, app)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.UpdateEndpoint(t.Context(), live.Ref, ep, func(e *hark.Endpoint) error { e.Concurrency = 3; return nil }); err != nil {
		t.Fatal(err)
	}
	s.exec(`UPDATE application SET name = 'theirs', updated_at = $1`, now.Add(-time.Second))
	s.exec(`UPDATE endpoint SET url = 'https://example.org/new', updated_at = $1 WHERE id = $2`, now.Add(time.Second), ep)
	s.exec(`UPDATE eventtype SET deleted = true, updated_at = $1 WHERE name = 'invoice.paid'`, now)
	again = s.mustMoveIn(to, nil)
	if diff := cmp.Diff([]svix.Tally{{Updated: 1, Unchanged: 1}, {Updated: 1, Kept: 1}, {Updated: 1}}, []svix.Tally{again.EventTypes, again.Applications, again.Endpoints}); diff != "" {
		t.Errorf("changed on both sides (-want +got):\n%s", diff)
	}
	ours, err := to.Application(t.Context(), org, id("app_", 1))
	if err != nil || ours.Name != "ours" {
		t.Errorf("what was changed here: %q, %v", ours.Name, err)
	}
	if got := find(t, to, org, app, ep); got.URL != "https://example.org/new" || got.Concurrency != 3 {
		t.Errorf("what was changed in Svix: %+v", got)
	}

	// What is deleted there is named, and not deleted here.
	s.exec(`UPDATE endpoint SET deleted = true WHERE id = $1`, ep)
	again = s.mustMoveIn(to, nil)
	if len(again.Notes) != 1 || !strings.Contains(again.Notes[0].Why, "deleted in Svix") {
		t.Errorf("notes: %+v", again.Notes)
	}
	find(t, to, org, app, ep)
}

func TestImport_SaysWhatItCannotTake(t *testing.T) {
	s := newServer(t)
	s.exec(`ALTER TABLE endpoint ADD COLUMN filter text; ALTER TABLE endpoint ADD COLUMN retry_schedule jsonb`)
	app := s.application(0, org, "")
	for n, change := range []string{
		`url = 'ftp://example.com'`, `key = '\x07' || key`, `key = substring(key for 10)`, `filter = 'a == b'`, `retry_schedule = '[1, 2]'`, `key = '\x02' || key`,
	} {
		s.endpoint(n, app, random(24))
		s.exec(`UPDATE endpoint SET `+change+` WHERE id = $1`, id("ep_", n))
	}
	s.exec(`INSERT INTO application VALUES ('short', $1, $1, $2, NULL, '', NULL, false)`, now, org)
	s.endpoint(9, s.application(3, management, org), random(24))
	to := newStore(t)
	report := s.mustMoveIn(to, nil)
	if report.Endpoints != (svix.Tally{Added: 2, Skipped: 4}) || report.Applications != (svix.Tally{Added: 1, Skipped: 1}) {
		t.Errorf("counts: %+v", report)
	}
	var got []string
	for _, n := range report.Notes {
		got = append(got, n.What+": "+n.Why)
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"application short: its id", id("ep_", 0) + ": its URL: ", id("ep_", 1) + ": its signing secret is of an unknown kind (7)",
		id("ep_", 2) + ": its signing secret is too short", id("ep_", 3) + ": its payload filter", id("ep_", 4) + ": its own retry schedule was not taken: [1, 2]",
		id("ep_", 5) + ": its signing secret: ", "operational webhooks: 1 endpoints",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no note %q in:\n%s", want, text)
		}
	}
	if ep := find(t, to, org, app, id("ep_", 3)); !ep.Paused {
		t.Error("an endpoint whose filter is lost is not paused")
	}
}

func TestImport_NeedsTheMainSecretBeforeItWrites(t *testing.T) {
	s := newServer(t)
	s.endpoint(0, s.application(0, org, ""), encrypted(t, 1, random(24)))
	for _, secret := range []string{"", "another"} {
		to := newStore(t)
		if _, err := s.moveIn(to, func(o *svix.Options) { o.MainSecret = secret }); !errors.Is(err, svix.ErrMainSecret) {
			t.Errorf("main secret %q: %v", secret, err)
		}
		if envs, err := to.ListEnvironments(t.Context()); err != nil || len(envs) != 0 {
			t.Errorf("it wrote: %v %v", envs, err)
		}
	}
}

func TestImport_AsksWhichOrganizationAndKeepsItsIDWhereItCan(t *testing.T) {
	s := newServer(t)
	to := newStore(t)
	if _, err := s.moveIn(to, nil); err == nil || !strings.Contains(err.Error(), "no organization") {
		t.Errorf("none: %v", err)
	}
	s.application(0, org, "a")
	s.application(1, other, "a")
	if _, err := s.moveIn(to, nil); err == nil || !strings.Contains(err.Error(), org+" (1 applications, 0 event types), "+other) {
		t.Errorf("two: %v", err)
	}
	if report := s.mustMoveIn(to, func(o *svix.Options) { o.Organization = org }); report.Environment != org || len(report.Notes) != 0 {
		t.Errorf("into an environment that it makes: %+v", report)
	}
	// Now live is the first's; the second goes there too, and callers need to know.
	report := s.mustMoveIn(to, func(o *svix.Options) { o.Organization = other })
	if report.Environment != org || report.Applications.Skipped != 1 || len(report.Notes) != 2 || report.Notes[0].What != "tokens" {
		t.Errorf("into the other's: %+v", report)
	}
	if report := s.mustMoveIn(to, func(o *svix.Options) { o.Organization, o.Environment = other, other }); report.Environment != other || report.Applications.Added != 1 {
		t.Errorf("into its own: %+v", report)
	}
}

func TestImport_RefusesADatabaseThatIsNotSvixs(t *testing.T) {
	url := postgrestest.Shared(t).Database(t, "nothing", func(string) error { return nil })
	if _, err := svix.Import(t.Context(), newStore(t), svix.Options{From: url, Environment: "live"}, now); !errors.Is(err, svix.ErrNotSvix) {
		t.Errorf("an empty database: %v", err)
	}
	_, err := svix.Import(t.Context(), newStore(t), svix.Options{From: "postgres://user:hidden@127.0.0.1:1/none"}, now)
	if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "cannot reach Svix's database \"none\" at 127.0.0.1, port 1") {
		t.Errorf("nobody there: %v", err)
	}
}
