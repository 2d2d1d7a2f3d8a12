// Package config is what an operator can set about a Hark server: one struct, every field useful
// when it is left alone, so that `hark serve` with no configuration at all works.
//
// A value comes from, first match wins: the flag, the HARK_* environment variable, the YAML file
// named by --config (the flag's name with "_" or "-"), the default. Secrets also come from a file:
// HARK_JWT_SECRET_FILE, or jwt_secret_file in YAML, so that they need not stand in an environment
// that other processes can read.
//
// The package reads no environment and opens no listener; package cli fills the struct and package
// app builds from it.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// Config is a server's settings. The tags are read by package cli and are also the text of
// `hark serve --help`.
type Config struct {
	// Data holds everything that Hark keeps: the database, the master key, the lock.
	Data string `default:"./hark-data" env:"HARK_DATA" placeholder:"DIR" help:"Folder for the database and the master key; made (0700) when missing. Default: ./hark-data."`
	// Database is a secret because it may carry a password.
	Database Secret `env:"HARK_DATABASE" placeholder:"URL" help:"Keep everything in this PostgreSQL database (postgres://user:password@host/database), which any number of servers may share, instead of in the data folder. Also HARK_DATABASE_FILE."`
	// Migrate is off by default: of several servers on a database, old ones must be gone first.
	Migrate bool `env:"HARK_MIGRATE" help:"Bring the schema of the database up to date before serving; without it, hark migrate up does."`
	// NoNotify costs the others some milliseconds, and the database nothing.
	NoNotify bool `env:"HARK_NO_NOTIFY" help:"Do without LISTEN and NOTIFY, for databases and connection poolers that lack them: servers then find each other's work by polling."`
	// Lease bounds the pause of a lost server's deliveries from above, and the patience with a slow database from below.
	Lease time.Duration `default:"15s" env:"HARK_LEASE" placeholder:"DURATION" help:"How long after a server was lost the others on the database take its deliveries over. Default: 15s."`

	// Addr is loopback by default, because plain HTTP with API keys has no business on a network
	// without a TLS proxy in front of it.
	Addr string `default:"127.0.0.1:8071" env:"HARK_ADDR" placeholder:"HOST:PORT" help:"Address to listen on; port 0 picks a free one. Default: 127.0.0.1:8071."`
	// PublicURL is how people reach this server from outside.
	PublicURL string `env:"HARK_PUBLIC_URL" placeholder:"URL" help:"How others reach this server, used in links that Hark hands out. Default: http://ADDR."`

	// BootstrapKey lets a deployment decide on the first admin key instead of reading it from the log.
	BootstrapKey Secret `env:"HARK_BOOTSTRAP_KEY" placeholder:"KEY" help:"Admin key of the live environment, 32 characters or more, set on every start. Also HARK_BOOTSTRAP_KEY_FILE."`
	// JWTSecret is what a Svix server signed its tokens with.
	JWTSecret Secret `env:"HARK_JWT_SECRET" placeholder:"SECRET" help:"Accept Svix-style JWTs signed with this secret (HS256). Also HARK_JWT_SECRET_FILE."`
	// JWTPublicKeyFile is for those whose Svix server signs with a key pair.
	JWTPublicKeyFile string `name:"jwt-public-key-file" env:"HARK_JWT_PUBLIC_KEY_FILE" placeholder:"FILE" help:"Accept Svix-style JWTs that this PEM public key verifies (RS256, RS384, RS512, EdDSA)."`
	// MasterKey is for where secrets come as variables, and files do not last.
	MasterKey Secret `env:"HARK_MASTER_KEY" placeholder:"KEY" help:"Key that seals secrets at rest, 32 bytes in base64, instead of a file."`
	// MasterKeyFile may live on another disk than the data that it seals.
	MasterKeyFile string `env:"HARK_MASTER_KEY_FILE" placeholder:"FILE" help:"Key that seals secrets at rest; made (0600) when missing. Default: DATA/master.key."`

	// AllowPrivateEndpoints opens loopback, private and link-local networks (not cloud metadata).
	AllowPrivateEndpoints bool `env:"HARK_ALLOW_PRIVATE_ENDPOINTS" help:"Deliver to loopback and private addresses. For development: any tenant can then reach your network."`
	// AllowNetworks opens single networks for everybody on this server.
	AllowNetworks []string `env:"HARK_ALLOW_NETWORKS" placeholder:"CIDR" help:"Networks to deliver to although they are private, such as 10.1.0.0/16."`
	// TrustedProxies are believed about who calls a source: for lists of allowed addresses, and for people.
	TrustedProxies []string `env:"HARK_TRUSTED_PROXIES" placeholder:"CIDR" help:"Networks of your proxies, such as 127.0.0.0/8: what they say in X-Forwarded-For is who called a source."`
	// HTTPSOnly refuses endpoints whose URL is http://.
	HTTPSOnly bool `env:"HARK_HTTPS_ONLY" help:"Refuse endpoints with http:// URLs."`

	// DisableAfter is how long an endpoint may answer nothing but failures.
	DisableAfter time.Duration `default:"120h" env:"HARK_DISABLE_AFTER" placeholder:"DURATION" help:"Disable an endpoint after nothing but failures for this long; 0 never does. Default: 120h."`
	// Drain must be shorter than the patience of whatever stops the process (Kubernetes: 30 s).
	Drain time.Duration `default:"20s" env:"HARK_DRAIN" placeholder:"DURATION" help:"How long attempts in flight may take after SIGTERM. A second signal leaves at once. Default: 20s."`

	// SignatureHeaders are both by default, so that receivers with either library work; senders who
	// count bytes leave one out.
	SignatureHeaders []string `default:"webhook,svix" enum:"webhook,svix" env:"HARK_SIGNATURE_HEADERS" placeholder:"NAME" help:"Names of the signature headers: webhook (Standard Webhooks), svix, or both, the default."`
	// InFlight bounds sockets and memory, whatever the endpoints' own limits add up to.
	InFlight int `default:"2048" env:"HARK_IN_FLIGHT" placeholder:"N" help:"Most attempts in flight over all endpoints. Default: 2048."`
	// MaxPayload can only be lowered: no request body is larger.
	MaxPayload int `default:"2097152" env:"HARK_MAX_PAYLOAD" placeholder:"BYTES" help:"Largest payload of a message that is accepted, up to 2097152, the default."`

	// TransformTime and TransformMemory bound each run of a customer's script, and so what all of them together take.
	TransformTime   time.Duration `default:"1s" env:"HARK_TRANSFORM_TIME" placeholder:"DURATION" help:"How long one run of a transformation may take, 10ms to 10s. Default: 1s."`
	TransformMemory int64         `default:"67108864" env:"HARK_TRANSFORM_MEMORY" placeholder:"BYTES" help:"How much memory one run of a transformation may have, 16777216 to 1073741824. Default: 67108864."`

	// RateLimit keeps one client from taking everything; it counts per server.
	RateLimit int `env:"HARK_RATE_LIMIT" placeholder:"N" help:"Most API requests per second of each key, on this server; more are answered 429. Default: no limit."`

	// Relay is off by default: its clients are anonymous.
	Relay bool `env:"HARK_RELAY" help:"Let the stock svix listen client connect, and hand it what comes to /in/c_TOKEN. For development: whoever reaches this server can listen, and with several nodes both must reach the same one."`

	LogLevel  string `default:"info" enum:"debug,info,warn,error" env:"HARK_LOG_LEVEL" help:"Least level to log: debug, info, warn or error."`
	LogFormat string `default:"text" enum:"text,json" env:"HARK_LOG_FORMAT" help:"Log lines as text or json."`
	// MetricsAddr moves /metrics to a listener of its own. Without it, /metrics is open on the
	// main one: its labels come from closed sets and name no tenant, and a server that cannot be
	// watched without configuration is not watched.
	MetricsAddr string `env:"HARK_METRICS_ADDR" placeholder:"HOST:PORT" help:"Serve /metrics here instead of on the main address."`
	// OTLPEndpoint turns traces on.
	OTLPEndpoint string `name:"otlp-endpoint" env:"HARK_OTLP_ENDPOINT,OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"Send OpenTelemetry traces to this OTLP/HTTP collector. Default: no traces."`
	// Pprof must be loopback: profiles show memory, and memory holds secrets.
	Pprof string `env:"HARK_PPROF" placeholder:"HOST:PORT" help:"Serve profiles at /debug/pprof on this loopback address."`
}

// Bounds of transformations. An engine does not start in less memory; and longer runs would hold up those that wait
// for a turn, which they do for ten seconds.
const (
	leastTransformTime   = 10 * time.Millisecond
	mostTransformTime    = 10 * time.Second
	leastTransformMemory = 16 << 20
	mostTransformMemory  = 1 << 30
)

// Validate refuses settings that cannot work, before anything is opened or made.
func (c *Config) Validate() error {
	if c.Data == "" {
		return fmt.Errorf("--data must name a folder")
	}
	if n := len(c.BootstrapKey); n > 0 && n < 32 {
		return fmt.Errorf("the bootstrap key needs 32 characters or more, not %d", n)
	}
	if err := errors.Join(listenable("--addr", c.Addr), listenable("--metrics-addr", c.MetricsAddr)); err != nil {
		return err
	}
	if c.InFlight < 0 {
		return fmt.Errorf("--in-flight must not be negative")
	}
	if c.RateLimit < 0 {
		return fmt.Errorf("--rate-limit must not be negative")
	}
	if c.MaxPayload < 0 || c.MaxPayload > mostPayload {
		return fmt.Errorf("--max-payload must be at most %d", mostPayload)
	}
	if t := c.TransformTime; t != 0 && (t < leastTransformTime || t > mostTransformTime) {
		return fmt.Errorf("--transform-time must be %s to %s", leastTransformTime, mostTransformTime)
	}
	if m := c.TransformMemory; m != 0 && (m < leastTransformMemory || m > mostTransformMemory) {
		return fmt.Errorf("--transform-memory must be %d to %d", leastTransformMemory, mostTransformMemory)
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("--public-url %q is not an http(s) URL", c.PublicURL)
		}
	}
	if _, err := c.Networks(); err != nil {
		return err
	}
	if _, err := c.Proxies(); err != nil {
		return err
	}
	if c.Lease != 0 && c.Lease < time.Second {
		return fmt.Errorf("--lease must be a second or more")
	}
	if c.Database == "" && (c.Migrate || c.NoNotify) {
		return fmt.Errorf("--migrate and --no-notify are about --database, which is not given; a data folder brings itself up to date")
	}
	if c.Drain < 0 || c.DisableAfter < 0 {
		return fmt.Errorf("durations must not be negative")
	}
	if c.Pprof != "" && !loopback(c.Pprof) {
		return fmt.Errorf("--pprof %q is not a loopback address: profiles show memory, and memory holds secrets", c.Pprof)
	}
	return nil
}

// mostPayload is what a request body can carry.
const mostPayload = 2 << 20

// listenable says what is wrong with the form of an address, before a data folder is made for it.
// An empty address is left to whoever does not set one.
func listenable(flag, addr string) error {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%s %q is not an address such as 127.0.0.1:8071", flag, addr)
	}
	return nil
}

// HeaderPrefixes are the signature headers' names up to id, timestamp and signature; nil means
// that nothing was said.
func (c *Config) HeaderPrefixes() []string {
	var out []string
	for _, name := range c.SignatureHeaders {
		out = append(out, name+"-")
	}
	return out
}

// Networks are AllowNetworks, parsed.
func (c *Config) Networks() ([]netip.Prefix, error) {
	return parseNetworks("--allow-networks", c.AllowNetworks)
}

// Proxies are TrustedProxies, parsed.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	return parseNetworks("--trusted-proxies", c.TrustedProxies)
}

func parseNetworks(flag string, texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q is not a network such as 10.1.0.0/16", flag, text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// loopback says whether an address can be reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// Secret is a setting that must not be shown. It prints as "•••" in every format.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String hides the text, but not whether there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "•••"
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON hides the text.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }
