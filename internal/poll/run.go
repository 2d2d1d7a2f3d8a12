package poll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

const (
	maxPages    = 1000
	runEnough   = 7 * time.Minute // after which a run asks for no further page: one may take two, with patience
	runTimeout  = 10 * time.Minute
	lateAfter   = time.Minute // a run that begins so much after its time makes up for it
	chunk       = 500         // items that are published and recorded together
	touchAfter  = 24 * time.Hour
	forgetAfter = 90 * 24 * time.Hour // items that no run has seen for so long are forgotten
	patience    = 30 * time.Second    // the longest wait that a server may ask for in the middle of a run
	patient     = 3                   // so many in a row
	keyFor      = 30 * 24 * time.Hour // how long what was accepted and not recorded is known

	previewPages    = 10
	previewMessages = 100
	previewTimeout  = 25 * time.Second
)

// pageGone are the answers that say that a page is not there, or not any more.
var pageGone = []int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}

// errOvertaken says that the poller was changed or deleted while it ran, or that another node ran it.
var errOvertaken = errors.New("the poller is not what it was when the run began")

// pass is one run under way.
type pass struct {
	*Runner
	p       *hark.Poller
	run     hark.PollerRun
	state   hark.PollerState // as the run will leave it
	learns  bool             // what it finds becomes no message
	preview bool
	shown   []Emission // of a preview
	cut     bool       // of a preview: there was more
}

func (r *Runner) newPass(p *hark.Poller, now time.Time) *pass {
	x := &pass{Runner: r, p: p, state: p.State, learns: !p.IsSchedule() && !p.State.Learned && !p.Backfill}
	if rest := p.State.Rest; rest != nil {
		x.state.Since, x.state.Rest = rest.Since, nil
	}
	x.run = hark.PollerRun{StartedAt: now, Due: p.Due, Outcome: hark.PollDone, Late: !p.Due.IsZero() && now.Sub(p.Due) > lateAfter}
	return x
}

// run runs one poller. Its error is that of the store, or of what stands before it: the run has not ended
// then, and will be tried again.
func (r *Runner) run(ctx context.Context, ref hark.Ref) error {
	p, err := r.store.PollerByRef(ctx, ref)
	now := time.Now().UTC().Truncate(time.Millisecond)
	switch {
	case errors.Is(err, hark.ErrNotFound):
		return nil
	case err != nil:
		return err
	case p.Paused || p.Due.IsZero() || p.Due.After(now):
		return nil // changed meanwhile
	}
	x := r.newPass(&p, now)
	within, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	err = x.do(within)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) && within.Err() != nil {
		err = troublef("the run took longer than %v", runTimeout)
	}
	if err = x.end(ctx, err); errors.Is(err, errOvertaken) {
		return nil
	}
	return err
}

// end records a run: what it came to, and when the next one is due.
func (x *pass) end(ctx context.Context, err error) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	schedule, wrong := ParseSchedule(&x.p.PollerSettings)
	if err == nil && wrong != nil {
		err = troublef("the schedule %v", wrong)
	}
	t, isTrouble := errors.AsType[*trouble](err)
	if err != nil && !isTrouble {
		return err
	}
	progress := &store.PollProgress{PollerRef: x.p.Ref, Revision: x.p.Revision, State: &x.state}
	switch {
	case isTrouble:
		x.fail(t)
		progress.Due = now.Add(backOff(x.state.Failures, t.after))
	case x.state.Rest != nil:
		x.state.Failures, progress.Due = 0, schedule.Next(now)
	default:
		x.state.Failures, x.state.Learned = 0, true
		progress.Due = schedule.Next(now)
		progress.ForgetBefore = now.Add(-forgetAfter)
	}
	x.run.Took = now.Sub(x.run.StartedAt)
	x.state.Runs = slices.Insert(slices.Clone(x.state.Runs), 0, x.run)
	x.state.Runs = x.state.Runs[:min(len(x.state.Runs), hark.MaxPollerRuns)]
	x.log.LogAttrs(ctx, slog.LevelInfo, "poll", slog.String("app", string(x.p.ApplicationID)), slog.String("poller", string(x.p.ID)),
		slog.String("outcome", string(x.run.Outcome)), slog.Int("status", x.run.Status), slog.Int("seen", x.run.Seen), slog.Int("new", x.run.New),
		slog.Int("changed", x.run.Changed), slog.Int("refused", x.run.Refused), slog.Duration("took", x.run.Took))
	kept, err := x.store.RecordPoll(ctx, progress)
	if err != nil {
		return err
	}
	if !kept {
		return errOvertaken
	}
	x.metrics.count(&x.run, x.learns)
	return nil
}

// fail leaves the poller as it was, with one failure more. A page where it wanted to go on and that is not
// there any more is given up: cursors expire.
func (x *pass) fail(t *trouble) {
	x.state = x.p.State
	x.state.Failures++
	x.run.Outcome, x.run.Error = hark.PollFailed, readable(t.text)
	if t.status != 0 {
		x.run.Status = t.status
	}
	if x.state.Rest != nil && x.run.Pages == 0 && slices.Contains(pageGone, t.status) {
		x.state.Rest = nil
		x.run.Error += "; the next run begins at the first page"
	}
}

// readable is text as every store takes it: an error may quote what a strange server has sent.
func readable(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
	return text[:min(len(text), 500)]
}

// do does what the poller is for.
func (x *pass) do(ctx context.Context) error {
	if x.p.IsSchedule() {
		return x.send(ctx)
	}
	g, err := newPages(x.p)
	if err != nil {
		return err
	}
	if x.learns {
		x.run.Outcome = hark.PollLearned
	}
	alone := x.p.Paging.Type == ""
	for g.at != nil {
		if x.preview && x.run.Pages == previewPages {
			x.cut = true
			return nil
		}
		if x.run.Pages == maxPages || x.run.Pages > 0 && time.Since(x.run.StartedAt) > runEnough {
			return x.leave(g)
		}
		a, err := x.ask(ctx, g.at, alone)
		if err != nil {
			return err
		}
		x.run.Pages++
		x.run.Status = a.status
		if a.status == http.StatusNotModified {
			x.run.Outcome = hark.PollUnchanged
			return nil
		}
		n, err := x.page(ctx, a.body)
		if err != nil {
			return err
		}
		if alone {
			x.state.ETag, x.state.LastModified = a.header.Get("ETag"), a.header.Get("Last-Modified")
		}
		if err := g.next(a, n); err != nil {
			return err
		}
	}
	return nil
}

// leave leaves the pages that are left to the next run. What it asks with moves on when all are read.
func (x *pass) leave(g *pages) (err error) {
	if x.state.Rest, err = g.rest(); err != nil {
		return err
	}
	x.state.Rest.Since, x.state.Since = x.state.Since, x.p.State.Since
	x.run.Outcome = hark.PollPartial
	return nil
}

// ask fetches a page, and waits for a server that asks for a little patience: else a list with more pages than
// a server allows requests would never come to its end.
func (x *pass) ask(ctx context.Context, at *url.URL, conditional bool) (*answer, error) {
	for try := 1; ; try++ {
		a, err := x.fetch(ctx, x.p, at, conditional)
		t, ok := errors.AsType[*trouble](err)
		if !ok || t.status != http.StatusTooManyRequests || t.after <= 0 || t.after > patience || try > patient {
			return a, err
		}
		x.run.Limited++
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(t.after):
		}
	}
}

// send makes a scheduled message: one for each time at which it was due.
func (x *pass) send(ctx context.Context) error {
	m := x.emission(x.p.EventType, render(x.p.Payload, x.run.StartedAt, x.run.Due, x.run.Late))
	m.Key = x.key([32]byte{}, x.run.Due.UnixMilli(), [32]byte{})
	x.run.Seen = 1
	refused, err := x.publish(ctx, []Emission{m})
	if err != nil {
		return err
	}
	if refused[0] != nil {
		return troublef("the message was refused: %v", refused[0])
	}
	x.run.New = 1
	return nil
}

func (x *pass) emission(eventType string, payload []byte) Emission {
	return Emission{EventType: eventType, Channels: x.p.Channels, Payload: payload}
}

// key makes what is accepted once only: a version of an item, or a time of a schedule. A version has one content.
func (x *pass) key(item [32]byte, version int64, content [32]byte) store.IdempotencyKey {
	about := append([]byte("hark poller\x00"), x.p.ID...)
	about = append(about, item[:]...)
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(about, uint64(version)))
	return store.IdempotencyKey{Hash: hash, Fingerprint: content, ExpiresAt: x.run.StartedAt.Add(keyFor)}
}

// publish accepts messages, or only shows them.
func (x *pass) publish(ctx context.Context, messages []Emission) (refused []error, err error) {
	if x.preview {
		room := previewMessages - len(x.shown)
		x.cut = x.cut || len(messages) > room
		x.shown = append(x.shown, messages[:min(room, len(messages))]...)
		return make([]error, len(messages)), nil
	}
	return x.accept(ctx, x.p.ApplicationRef, messages)
}

// page makes messages of what is new or has changed on a page. It answers how many items there are.
func (x *pass) page(ctx context.Context, body []byte) (int, error) {
	all, err := itemsOf(body, x.p.ItemsPath)
	if err != nil {
		return 0, troublef("%v", err)
	}
	for some := range slices.Chunk(all, chunk) {
		if err := x.some(ctx, some); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

func (x *pass) refuse(err error) {
	x.run.Refused++
	if x.run.Error == "" {
		x.run.Error = readable(err.Error())
	}
}

// news is an item that is new or has changed, or that was not seen for a while.
type news struct {
	known   store.PollerItem // as it is to be recorded
	raw     []byte           // what becomes a message; nil: it is only to be recorded
	refused error            // why it cannot be one
}

func (x *pass) some(ctx context.Context, some []json.RawMessage) error {
	items := make([]item, 0, len(some))
	keys := make([][32]byte, 0, len(some))
	for _, raw := range some {
		x.run.Seen++
		it, err := newItem(&x.p.PollerSettings, raw)
		if err != nil {
			x.refuse(err)
			continue
		}
		items, keys = append(items, it), append(keys, it.key)
	}
	found, err := x.store.PollerItems(ctx, x.p.Ref, keys)
	if err != nil {
		return err
	}
	known := make(map[[32]byte]store.PollerItem, len(found))
	for _, k := range found {
		known[k.Item] = k
	}
	all := x.news(items, known)
	if len(all) == 0 {
		return nil
	}
	return x.keep(ctx, all)
}

// news finds what is new or has changed.
func (x *pass) news(items []item, known map[[32]byte]store.PollerItem) []news {
	var all []news
	now := x.run.StartedAt
	for i := range items {
		it := &items[i]
		if later(x.state.Since, it.since) {
			x.state.Since = it.since
		}
		k, isKnown := known[it.key]
		if isKnown && k.Content == it.content {
			if now.Sub(k.SeenAt) > touchAfter {
				k.SeenAt = now
				known[it.key] = k
				all = append(all, news{known: k})
			}
			continue
		}
		if isKnown {
			x.run.Changed++
		} else {
			x.run.New++
		}
		k = store.PollerItem{Item: it.key, Content: it.content, Version: k.Version + 1, SeenAt: now}
		known[it.key] = k
		one := news{known: k}
		if !x.learns || x.preview {
			one.raw = it.raw
		}
		all = append(all, one)
	}
	return all
}

// message is what an item becomes.
func (x *pass) message(n *news) Emission {
	change := "updated"
	if n.known.Version == 1 {
		change = "created"
	}
	m := x.emission(strings.ReplaceAll(x.p.EventType, "{{change}}", change), n.raw)
	m.Key = x.key(n.known.Item, n.known.Version, n.known.Content)
	return m
}

// tell publishes messages. Where a crash came between the acceptance of an item and its record, and the item has
// changed since, it has a version more than is known.
func (x *pass) tell(ctx context.Context, all []news) error {
	var left []*news
	for i := range all {
		if all[i].raw != nil {
			left = append(left, &all[i])
		}
	}
	for len(left) > 0 {
		messages := make([]Emission, len(left))
		for i, n := range left {
			messages[i] = x.message(n)
		}
		refused, err := x.publish(ctx, messages)
		if err != nil {
			return err
		}
		var again []*news
		for i, n := range left {
			if n.refused = refused[i]; !errors.Is(n.refused, ErrTaken) {
				continue
			}
			if n.known.Version == 1 {
				x.run.New, x.run.Changed = x.run.New-1, x.run.Changed+1
			}
			n.known.Version++
			again = append(again, n)
		}
		left = again
	}
	return nil
}

// keep publishes messages, and records the items that became some.
func (x *pass) keep(ctx context.Context, all []news) error {
	if err := x.tell(ctx, all); err != nil {
		return err
	}
	record := make(map[[32]byte]store.PollerItem, len(all)) // an item may be listed twice
	for i := range all {
		k := all[i].known
		if err := all[i].refused; err != nil {
			x.refuse(fmt.Errorf("an item was refused: %w", err))
			if k.Version == 1 {
				x.run.New--
			} else {
				x.run.Changed--
			}
			continue
		}
		k.Version = max(k.Version, record[k.Item].Version)
		record[k.Item] = k
	}
	if x.preview || len(record) == 0 {
		return nil
	}
	progress := &store.PollProgress{PollerRef: x.p.Ref, Revision: x.p.Revision, Items: make([]store.PollerItem, 0, len(record))}
	for _, k := range record {
		progress.Items = append(progress.Items, k)
	}
	kept, err := x.store.RecordPoll(ctx, progress)
	if err == nil && !kept {
		return errOvertaken
	}
	return err
}

// Preview is what a run would do now.
type Preview struct {
	Run      hark.PollerRun
	Messages []Emission // the first of them; those of a run that only learns, too
	Cut      bool       // there is more
}

// Preview does what a run would do, and neither makes a message nor remembers anything. p need not be
// stored.
func (r *Runner) Preview(ctx context.Context, p hark.Poller) (Preview, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	p.Due = now
	x := r.newPass(&p, now)
	x.preview = true
	within, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	err := x.do(within)
	if within.Err() != nil && ctx.Err() == nil {
		err = troublef("the dry run took longer than %v", previewTimeout)
	}
	if t, ok := errors.AsType[*trouble](err); ok {
		x.run.Outcome, x.run.Error, err = hark.PollFailed, readable(t.text), nil
		if t.status != 0 {
			x.run.Status = t.status
		}
	}
	x.run.Took = time.Since(now)
	return Preview{Run: x.run, Messages: x.shown, Cut: x.cut}, err
}
