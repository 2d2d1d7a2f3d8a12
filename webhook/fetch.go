package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// What is fetched (keys, certificates) is small, and kept for a while.
const (
	maxFetched   = 256 << 10
	keepFetched  = 24 * time.Hour
	retryFetched = time.Minute // a failure, or a key set without the key, is not asked for again before
	maxKept      = 32          // a hostile request must not make us keep more
	fetchTimeout = 10 * time.Second
)

// errFetch is what every failure to fetch wraps: the request is then Unverifiable, not Failed.
var errFetch = errors.New("the key could not be fetched")

// fetcher gets texts from addresses that its caller has pinned, and keeps them.
type fetcher struct {
	client Client

	mu   sync.Mutex
	kept map[string]*fetched
}

type fetched struct {
	once sync.Mutex // one fetch at a time
	text []byte
	err  error
	at   time.Time
}

// get answers the text at an address. With fresh set, one that is older than a minute is fetched
// again: the key that is looked for is not in it.
func (f *fetcher) get(ctx context.Context, request func(context.Context) (*http.Request, error), key string, now time.Time, fresh bool) ([]byte, error) {
	if f.client == nil {
		return nil, fmt.Errorf("%w: there is no client to fetch it with", errFetch)
	}
	e, err := f.entry(key, now)
	if err != nil {
		return nil, err
	}
	e.once.Lock()
	defer e.once.Unlock()
	keep := keepFetched
	if fresh || e.err != nil {
		keep = retryFetched
	}
	if !e.at.IsZero() && now.Sub(e.at) < keep && !e.at.After(now) {
		return e.text, e.err
	}
	text, err := f.fetch(ctx, request)
	if ctx.Err() != nil { // says nothing about the key
		return nil, err
	}
	if err != nil && e.text != nil && now.Sub(e.at) < keepFetched {
		return e.text, nil // better the one we have than none
	}
	e.text, e.err, e.at = text, err, now
	return text, err
}

// entry finds the place for an address, and makes room for it.
func (f *fetcher) entry(key string, now time.Time) (*fetched, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.kept[key]; e != nil {
		return e, nil
	}
	if f.kept == nil {
		f.kept = map[string]*fetched{}
	}
	if len(f.kept) >= maxKept {
		for k, e := range f.kept {
			if e.once.TryLock() {
				stale := now.Sub(e.at) > retryFetched && e.err != nil || now.Sub(e.at) > keepFetched
				e.once.Unlock()
				if stale {
					delete(f.kept, k)
				}
			}
		}
	}
	if len(f.kept) >= maxKept {
		return nil, fmt.Errorf("%w: too many different keys were asked for", errFetch)
	}
	e := &fetched{}
	f.kept[key] = e
	return e, nil
}

func (f *fetcher) fetch(ctx context.Context, request func(context.Context) (*http.Request, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := request(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	response, err := f.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	defer response.Body.Close()
	if got := response.Request; got != nil && got.URL.Host != r.URL.Host {
		return nil, fmt.Errorf("%w: %s redirects to another host", errFetch, r.URL.Host)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s answered %d", errFetch, r.URL.Host, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxFetched+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFetch, err)
	}
	if len(text) > maxFetched {
		return nil, fmt.Errorf("%w: %s answered with more than %d bytes", errFetch, r.URL.Host, maxFetched)
	}
	return text, nil
}

// getting makes the request for an address.
func getting(address string) func(context.Context) (*http.Request, error) {
	return func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	}
}

// unfetched is the finding for a key that could not be had; any other error is the request's fault.
func unfetched(err error) finding {
	if errors.Is(err, errFetch) {
		return finding{outcome: Unverifiable, cause: ErrKeyFetch, detail: err.Error(), secret: -1}
	}
	return failed(ErrMalformed, "%v", err)
}

// keyName says whether a key's name may become part of an address.
func keyName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != "" && len(name) <= 128
}
