package postgres

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
)

// bell tells other nodes, after a commit, that there is something for them. It rings at most once in
// ringEvery whatever the load, because databases commit notifications one after the other, and on a
// connection whose commits wait for no disk. What it says may get lost: everybody polls as well.
type bell struct {
	store  *Store
	loud   bool
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu        sync.Mutex
	endpoints map[hark.Ref]bool
	feeds     map[hark.Ref]bool // of consumers that were fed
	news      string            // of other kinds: changeMark, leaseMark
	ready     chan struct{}
}

const (
	ringEvery  = 5 * time.Millisecond
	maxPayload = 7900 // PostgreSQL takes less than 8000 bytes

	// What a notification consists of. The first two come with a ref in base 36.
	endpointMark = "e"
	feedMark     = "f"

	changeMark = "c"
	leaseMark  = "l"
	outboxMark = "o" // said by the trigger on the outbox, never by the bell
)

func startBell(s *Store, loud bool) *bell {
	ctx, cancel := context.WithCancel(context.Background())
	b := &bell{store: s, loud: loud, cancel: cancel, endpoints: make(map[hark.Ref]bool), feeds: make(map[hark.Ref]bool), ready: make(chan struct{}, 1)}
	if loud {
		b.done.Go(func() { b.run(ctx) })
	}
	return b
}

func (b *bell) stop() {
	b.cancel()
	b.done.Wait()
}

// wake will wake the node that delivers for the endpoint.
func (b *bell) wake(endpoint hark.Ref) {
	b.note(func() { b.endpoints[endpoint] = true })
}

// fed will wake the readers of a consumer, on whichever node.
func (b *bell) fed(consumer hark.Ref) {
	b.note(func() { b.feeds[consumer] = true })
}

// changed will make every node look for changes, leased for leases.
func (b *bell) changed() { b.note(func() { b.news += changeMark }) }
func (b *bell) leased()  { b.note(func() { b.news += leaseMark }) }

func (b *bell) note(f func()) {
	if !b.loud {
		return
	}
	b.mu.Lock()
	f()
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *bell) take() (messages []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	for _, mark := range [...]string{changeMark, leaseMark} {
		if strings.Contains(b.news, mark) {
			text.WriteString(mark + " ")
		}
	}
	for _, kind := range [...]struct {
		mark string
		refs map[hark.Ref]bool
	}{{endpointMark, b.endpoints}, {feedMark, b.feeds}} {
		for ref := range kind.refs {
			word := kind.mark + strconv.FormatInt(ref, 36)
			if text.Len()+len(word)+1 > maxPayload {
				messages = append(messages, text.String())
				text.Reset()
			}
			text.WriteString(word + " ")
		}
		clear(kind.refs)
	}
	b.news = ""
	if text.Len() > 0 {
		messages = append(messages, text.String())
	}
	return messages
}

const notifySQL = `SELECT pg_notify($1, $2)`

func (b *bell) run(ctx context.Context) {
	var raw *pgx.Conn
	defer func() {
		if raw != nil {
			_ = raw.Close(context.WithoutCancel(ctx)) // nothing is lost with it
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.ready:
		}
		if err := b.ring(ctx, &raw); err != nil && ctx.Err() == nil {
			b.store.log.LogAttrs(ctx, slog.LevelWarn, "notify", slog.Any("err", translate(err)))
		}
		pause(ctx, ringEvery)
	}
}

func (b *bell) ring(ctx context.Context, raw **pgx.Conn) error {
	messages := b.take()
	ctx, cancel := context.WithTimeout(ctx, transactionTimeout)
	defer cancel()
	if *raw == nil || (*raw).IsClosed() {
		c, err := b.store.connect(ctx, "hark bell")
		if err != nil {
			return err
		}
		*raw = c
		// A database that does not know the setting is a little slower.
		_, _ = c.Exec(ctx, `SET synchronous_commit = off`)
	}
	for _, text := range messages {
		if _, err := (*raw).Exec(ctx, notifySQL, b.store.channel(), text); err != nil {
			_ = (*raw).Close(ctx) // it is made anew the next time
			return err
		}
	}
	return nil
}

// channel is where the nodes of this schema listen.
func (s *Store) channel() string { return "hark_" + firstSchema(s.config) }
