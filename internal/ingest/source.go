package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/webhook"
)

// source is a source ready to receive. It is immutable, but for its state.
type source struct {
	hark.Source
	verifier *webhook.Verifier // nil: nobody signs
	reader   *webhook.Verifier // the same without secrets: it only finds an event's id and type
	broken   error             // why it cannot verify
	token    hark.Secret       // by which it was found
	until    time.Time         // when it must be made anew, because a secret has expired; zero: never
	allow    []netip.Prefix
	by       []match.Part
	kind     match.Part
	*state
}

// state is what is remembered of a source while it is changed.
type state struct {
	limiter *rate.Limiter

	mu       sync.Mutex
	failures int       // in a row
	first    time.Time // of them
	told     time.Time // when the store was told that they have ended
	day      int64     // that used counts
	used     int
}

// splitPath cuts the token, and what stands behind it, from a path.
func splitPath(r *http.Request) (token, rest string, ok bool) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), Prefix)
	if !ok {
		return "", "", false
	}
	token, rest = path, ""
	if i := strings.IndexByte(path, '/'); i >= 0 {
		token, rest = path[:i], path[i:]
	}
	return token, rest, IsToken(token)
}

// find finds a source by its token.
func (in *Ingest) find(ctx context.Context, token string, now time.Time) (*source, error) {
	hash := sha256.Sum256([]byte(token))
	in.mu.RLock()
	src, changes := in.byToken[hash], in.changes
	in.mu.RUnlock()
	if src == nil || !src.until.IsZero() && !src.until.After(now) {
		row, err := in.Store.SourceByToken(ctx, hash)
		if err != nil {
			return nil, err
		}
		src = in.keep(hash, row, hark.SecretKey(token), now, changes)
	}
	if !src.token.ExpiresAt.IsZero() && !src.token.ExpiresAt.After(now) {
		return nil, hark.ErrNotFound
	}
	return src, nil
}

// keep compiles a source and remembers it, unless something changed since the read began.
func (in *Ingest) keep(hash [32]byte, row hark.Source, token hark.SecretKey, now time.Time, changes uint64) *source {
	src := compile(row, now, in.Options)
	for _, t := range row.Tokens {
		if t.Key == token {
			src.token = t
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	makeRoom(in.byToken, in.Limit)
	makeRoom(in.states, in.Limit)
	st := in.states[row.Ref]
	if limit := limitOf(row.RateLimit); st == nil || st.limiter.Limit() != limit {
		st = &state{limiter: rate.NewLimiter(limit, row.RateLimit)}
		in.states[row.Ref] = st
	}
	src.state = st
	if in.changes == changes {
		in.byToken[hash] = src
	}
	return src
}

func limitOf(perSecond int) rate.Limit {
	if perSecond <= 0 {
		return rate.Inf
	}
	return rate.Limit(perSecond)
}

// makeRoom drops any: map order is arbitrary enough.
func makeRoom[K comparable, V any](m map[K]V, limit int) {
	for k := range m {
		if len(m) < limit {
			return
		}
		delete(m, k)
	}
}

// Forget drops the sources of an application from memory. Call it after every committed change.
func (in *Ingest) Forget(app hark.Ref) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.changes++
	maps.DeleteFunc(in.byToken, func(_ [32]byte, src *source) bool { return src.ApplicationRef == app })
}

// ForgetAll drops all of them: any may have changed.
func (in *Ingest) ForgetAll() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.changes++
	clear(in.byToken)
}

func compile(row hark.Source, now time.Time, o Options) *source {
	src := &source{Source: row, kind: match.ParsePart(row.EventType)}
	for _, text := range row.Deduplicate.By {
		src.by = append(src.by, match.ParsePart(text))
	}
	for _, text := range row.AllowIPs {
		network, err := ParseNetwork(text)
		if err != nil {
			src.broken = err
		}
		src.allow = append(src.allow, network)
	}
	var live []string
	for _, s := range row.Secrets {
		if !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now) {
			continue
		}
		live = append(live, s.Key.Reveal())
		if !s.ExpiresAt.IsZero() && (src.until.IsZero() || s.ExpiresAt.Before(src.until)) {
			src.until = s.ExpiresAt
		}
	}
	var err error
	if src.verifier, err = NewVerifier(&row, live, o.Client); err != nil {
		src.broken = err
	} else if src.verifier != nil {
		src.reader, _ = NewVerifier(&row, nil, nil)
	}
	return src
}

// event finds the id and type in a request that was not verified.
func (src *source) event(ctx context.Context, request webhook.Request, now time.Time) (id, kind string) {
	if src.reader == nil {
		return "", ""
	}
	verdict := src.reader.Verify(ctx, request, now)
	return verdict.ID, verdict.Type
}

// NewVerifier makes what verifies a source's requests; nil when nobody signs them.
func NewVerifier(src *hark.Source, secrets []string, client webhook.Client) (*webhook.Verifier, error) {
	options := webhook.Options{Secrets: secrets, Tolerance: src.Tolerance, URL: src.URL, Client: client, Params: maps.Clone(src.Params)}
	if src.Confirm {
		if options.Params == nil {
			options.Params = map[string]string{}
		}
		options.Params["confirm"] = "yes"
	}
	switch {
	case len(src.Scheme) > 0:
		var scheme webhook.Scheme
		if err := json.Unmarshal(src.Scheme, &scheme); err != nil {
			return nil, fmt.Errorf("read the scheme: %w", err)
		}
		return webhook.NewSchemeVerifier(scheme, options)
	case src.Provider != "":
		return webhook.NewVerifier(src.Provider, options)
	}
	return nil, nil
}

// ParseNetwork reads an address or a network.
func ParseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	return network.Masked(), err
}

// allows says whether somebody may call from an address.
func (src *source) allows(addr netip.Addr) bool {
	if src.allow == nil {
		return true
	}
	for _, network := range src.allow {
		if network.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}
