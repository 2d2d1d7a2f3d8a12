package webhook

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/providers.md")

const providersPage = "../docs/providers.md"

// page is docs/providers.md: the tables of the code, for readers.
func page(t *testing.T) string {
	tested := map[string]string{}
	for _, v := range readVectors(t) {
		if !v.Made {
			tested[v.Provider] = "official"
		} else if tested[v.Provider] == "" {
			tested[v.Provider] = "made"
		}
	}
	var b strings.Builder
	list := Providers()
	fmt.Fprintf(&b, `# Providers

%d providers whose webhooks the [webhook](../webhook) package verifies, and signs as for tests. The names are what
%swebhook.NewVerifier%s and %shark verify --provider%s take. This page is made from the code's tables by its tests.

*Signed* names what is covered: %s{body}%s is the raw bytes. An id or a type in a header is signed only where the
signed content names that header. A *handshake* is answered by %sVerifier.Challenge%s.
*Tested* with a vector that the vendor publishes (official), or with one that was computed, by other code, from
what is linked (made).

| name | provider | signed | event id | event type | parameters | handshake | tested | notes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`, len(list), "`", "`", "`", "`", "`", "`", "`", "`")
	cell := strings.NewReplacer("|", `\|`, "\n", `\n`)
	code := func(s string) string {
		if s == "" {
			return "–"
		}
		return "`" + cell.Replace(s) + "`"
	}
	for _, p := range list {
		handshake, note := "", cell.Replace(p.Note)
		if p.Challenge {
			handshake = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | [%s](%s) | %s | %s | %s | %s | %s | %s | %s |\n", p.Name, p.Title, p.Source, cell.Replace(p.Scheme),
			code(p.ID), code(p.Type), strings.Join(p.Params, ", "), handshake, tested[p.Name], note)
	}
	return b.String()
}

func TestProviders_PageIsComplete(t *testing.T) {
	want := page(t)
	if *update {
		if err := os.WriteFile(providersPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(providersPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/providers.md is not what the tables say: make golden")
	}
}

func TestProviders_RowsAreSound(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, p := range Providers() {
		if !name.MatchString(p.Name) || p.Title == "" || p.Scheme == "" {
			t.Errorf("%+v", p)
		}
		if u, err := url.Parse(p.Source); err != nil || u.Scheme != "https" || u.Host == "" {
			t.Errorf("%s: the source is %q", p.Name, p.Source)
		}
		for _, l := range []string{p.ID, p.Type} {
			if _, err := parseLocator(l); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
}

func TestNewVerifier_Refuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		want    error
	}{
		{"nobody", Options{}, ErrProvider},
		{"github", Options{Secrets: []string{"x", ""}}, ErrKey},
		{"adyen", Options{Secrets: []string{"xyz"}}, ErrKey},
		{"airtable", Options{Secrets: []string{"not base64!"}}, ErrKey},
		{"discord", Options{Secrets: []string{"abcd"}}, ErrKey},
		{"sendgrid", Options{Secrets: []string{strings.Repeat("ab", 32)}}, ErrKey},
		{"chargebee", Options{Secrets: []string{"no colon"}}, ErrKey},
		{"solidgate", Options{Secrets: []string{"x"}}, ErrProvider},
		{"kinde", Options{}, ErrProvider},
		{"kinde", Options{Params: map[string]string{"issuer": "http://plain.example"}}, ErrProvider},
		{StandardWebhooks, Options{Secrets: []string{"whsec_short"}}, ErrKey},
	} {
		if _, err := NewVerifier(c.name, c.options); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestNewSchemeVerifier_RefusesWhatProvesNothing(t *testing.T) {
	for _, s := range []Scheme{
		{},
		{Algorithm: "rot13", Signed: "{body}", Header: "X"},
		{Algorithm: "hmac-sha256", Header: "X"},
		{Algorithm: "hmac-sha256", Signed: "{body}"},
		{Algorithm: "hmac-sha256", Signed: "{body", Header: "X"},
		{Algorithm: "hmac-sha256", Signed: "{nothing}", Header: "X"},
		{Algorithm: "hmac-sha256", Signed: "{param:x}", Header: "X"},
		{Algorithm: "hmac-sha256", Signed: "{timestamp}{body}", Header: "X"},
		{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X", Encoding: "base32"},
		{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X", Key: "rot13"},
		{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X", Timestamp: "T", Unit: "days"},
		{Algorithm: "hmac-sha256", Signed: "{body}", Header: "X", ID: "$.a..b"},
		{Algorithm: "sha256", Signed: "{body}", Header: "X"},
		{Algorithm: "ip"},
	} {
		if _, err := NewSchemeVerifier(s, Options{Secrets: []string{"x"}}); err == nil {
			t.Errorf("accepted %+v", s)
		}
	}
}
