package outbound

import (
	"net/http"
	"time"
)

// HTTPClient makes a net/http client behind the same policy, for the rare fetch of a small document:
// a provider's key, a certificate, the confirmation of a subscription. It follows no redirect and
// uses no proxy.
func HTTPClient(policy Policy, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:            guardedDialer(policy),
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    timeout,
			MaxIdleConns:           16,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
