package app_test

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/store/postgrestest"
)

// benchServer starts a server in a benchmark, with a consumer.
func benchServer(b *testing.B, database string) (base, key string) {
	c := config.Config{Data: b.TempDir(), Addr: "127.0.0.1:0", Drain: 5 * time.Second, BootstrapKey: "app-test-key-0123456789abcdef0123456789"}
	if database != "" {
		c.Database, c.MasterKey = config.Secret(database), masterKey
	}
	a, err := app.New(b.Context(), app.Options{Config: c})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := b.Context()
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() { <-done })
	base, key = a.URL()+"/api/v1", c.BootstrapKey.Reveal()
	post(b, base+"/app", key, `{"name":"a","uid":"a"}`)
	post(b, base+"/app/a/consumer", key, `{"uid":"k"}`)
	return base, key
}

func post(b *testing.B, url, key, body string) {
	req, _ := http.NewRequest("POST", url, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		b.Errorf("%s: %s", url, resp.Status)
	}
}

// follow opens a stream or a socket with as little of its own as can be.
func follow(b *testing.B, base, key, kind string) net.Conn {
	host, path, _ := strings.Cut(strings.TrimPrefix(base, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	more, first := "", ""
	if kind == "ws" {
		more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
		text := `{"type":"subscribe"}`
		first = string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text // masked with nothing
	}
	fmt.Fprintf(conn, "GET /%s/app/a/consumer/k/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n%s", path, kind, key, more, first)
	return conn
}

// BenchmarkStream_OneConsumer publishes in batches of 100, of 1 KiB each, and waits until the last
// message has come out of the stream.
func BenchmarkStream_OneConsumer(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchOneConsumer(b, "") })
	b.Run("postgres", func(b *testing.B) {
		benchOneConsumer(b, postgrestest.Shared(b).Database(b, "migrated", func(url string) error { return app.Migrate(b.Context(), url, false, false) }))
	})
}

func benchOneConsumer(b *testing.B, database string) {
	base, key := benchServer(b, database)
	conn := follow(b, base, key, "stream")
	defer conn.Close()
	came := make(chan struct{})
	go func() {
		defer close(came)
		buffer, n, rest := make([]byte, 64<<10), 0, ""
		for n < b.N {
			k, err := conn.Read(buffer)
			if err != nil {
				b.Error(err)
				return
			}
			text := rest + string(buffer[:k])
			n += strings.Count(text, "\nevent: ")
			rest = text[max(0, len(text)-7):]
		}
	}()
	message := `{"eventType":"a.b","payload":{"text":"` + strings.Repeat("x", 1000) + `"}}`
	b.ResetTimer()
	batches := make(chan int)
	var publishing sync.WaitGroup
	for range 4 {
		publishing.Go(func() {
			for n := range batches {
				post(b, base+"/app/a/msg/batch", key, `{"messages":[`+strings.TrimSuffix(strings.Repeat(message+",", n), ",")+`]}`)
			}
		})
	}
	for left := b.N; left > 0; left -= 100 {
		batches <- min(left, 100)
	}
	close(batches)
	publishing.Wait()
	<-came
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkStream_Idle says what an idle stream costs in memory; run it with -benchtime 9000x, one at a time.
func BenchmarkStream_Idle(b *testing.B) {
	for _, kind := range []string{"stream", "ws"} {
		b.Run(kind, func(b *testing.B) { benchIdle(b, kind) })
	}
}

func benchIdle(b *testing.B, kind string) {
	base, key := benchServer(b, "")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	one := make([]byte, 4096)
	for range b.N {
		conn := follow(b, base, key, kind)
		b.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Read(one); err != nil { // it is open
			b.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := func(m *runtime.MemStats) uint64 { return m.HeapInuse + m.StackInuse }
	b.ReportMetric(float64(used(&after)-used(&before))/float64(b.N), "B/stream")
	b.ReportMetric(float64(after.Sys)/(1<<20), "MiB-in-all")
}
