package webhook

import (
	"slices"
	"strings"
)

// StandardWebhooks is the provider name of Standard Webhooks, which Hark itself signs by.
const StandardWebhooks = "standard-webhooks"

// provider is a row of the tables: how one provider's webhooks are verified, where the event's id
// and type are, and which handshakes it begins. The tables are in the files of their families.
type provider struct {
	name, title string
	schemes     []Scheme // in order of preference
	content     content  // of the schemes, where a template cannot say it; Signed then says it in words
	wrap        func(*scheme) checker
	code        code   // for what a Scheme cannot say
	how         string // code in words, for the list
	keyless     bool   // verifies without a secret: its keys are public
	id, kind    string // locators
	params      string // names of Options.Params, with a space between
	challenge   challenge
	accept      reply // how it wants a 2xx; zero is 200 without a body
	refuse      int   // its status for a bad signature; zero is 401
	note        string
	source      string // where its maker, or whoever knows, documents the scheme
}

// code makes a checker for a provider that needs more than a Scheme.
type code func(o *Options, signing bool) (checker, error)

// reply is a fixed answer.
type reply struct {
	status int
	kind   string // Content-Type
	body   string
	echo   string // a JSON object with the secret that matched under this name, instead
}

func (p *provider) unsigned() bool { return len(p.schemes) == 0 && p.code == nil }

// tables are all providers, a family each.
func tables() [][]provider {
	return [][]provider{hmacTable, stampedTable, standardTable, tokenTable, urlTable, bodyTable, publicTable, jwsTable, certificateTable}
}

func lookUp(name string) *provider {
	for _, table := range tables() {
		for i := range table {
			if table[i].name == name {
				return &table[i]
			}
		}
	}
	return nil
}

// Provider describes one provider, for lists.
type Provider struct {
	Name  string `json:"name"` // as NewVerifier takes it
	Title string `json:"title"`
	// Scheme says in a few words what is signed, and how.
	Scheme string `json:"scheme"`
	// ID and Type are where the event's id and type are.
	ID   string `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
	// Params names the Options.Params it knows.
	Params    []string `json:"params,omitempty"`
	Challenge bool     `json:"challenge"` // begins handshakes
	Note      string   `json:"note,omitempty"`
	Source    string   `json:"source"` // where the scheme is documented
}

// Providers lists every provider, by name.
func Providers() []Provider {
	var list []Provider
	for _, table := range tables() {
		for i := range table {
			list = append(list, table[i].describe())
		}
	}
	slices.SortFunc(list, func(a, b Provider) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (p *provider) describe() Provider {
	d := Provider{
		Name: p.name, Title: p.title, ID: p.id, Type: p.kind, Params: strings.Fields(p.params),
		Challenge: p.challenge != nil, Note: p.note, Source: p.source,
	}
	var ways []string
	for _, s := range p.schemes {
		ways = append(ways, s.String())
	}
	if p.how != "" {
		ways = append(ways, p.how)
	}
	if d.Scheme = strings.Join(ways, "; or "); d.Scheme == "" {
		d.Scheme = "not signed"
	}
	return d
}

// String says in a few words how the scheme signs.
func (s Scheme) String() string {
	switch s.Algorithm {
	case "token":
		return "`" + s.Header + ": " + s.Prefix + "secret`"
	case "basic":
		return "Basic authentication"
	case "ip":
		return "by address"
	}
	text := s.Algorithm + " of `" + s.Signed + "` in `" + s.Header + "`"
	encoding := s.Encoding
	if encoding == "" {
		encoding = "hex"
	}
	text += " as " + encoding
	if s.Prefix != "" {
		text += " after `" + s.Prefix + "`"
	}
	if s.Key != "" && s.Key != "text" {
		text += ", key " + s.Key
	}
	return text
}
