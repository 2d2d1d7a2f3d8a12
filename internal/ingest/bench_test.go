package ingest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/webhook"
)

// BenchmarkReceive is a verified webhook of 2 KiB from the handler to the commit, without the HTTP
// server: 64 callers over SQLite, with fsync.
func BenchmarkReceive(b *testing.B) {
	for _, provider := range []string{"github", "stripe"} {
		b.Run(provider, func(b *testing.B) {
			w := newWorld(b, nil)
			src := w.source(func(s *hark.Source) { s.Provider = provider })
			signer, err := webhook.NewSigner(provider, webhook.Options{Secrets: []string{secret}})
			if err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					id := n.Add(1)
					body := fmt.Appendf(nil, `{"id":"evt_%d","type":"charge.succeeded","pad":"%s"}`, id, strings.Repeat("x", 1990))
					out, err := signer.Sign(webhook.Request{Method: "POST", Body: body, Header: http.Header{"X-Github-Delivery": {fmt.Sprint(id)}, "X-Github-Event": {"push"}}}, time.Now())
					if err != nil {
						b.Error(err)
						return
					}
					r := httptest.NewRequest("POST", path(src), bytes.NewReader(out.Body))
					r.Header = out.Header
					rec := httptest.NewRecorder()
					w.ServeHTTP(rec, r)
					if rec.Code != 200 {
						b.Errorf("%d %s", rec.Code, rec.Body)
						return
					}
				}
			})
		})
	}
}
