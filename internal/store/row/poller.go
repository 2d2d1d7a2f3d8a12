package row

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// pollerSecrets is what of a poller nobody may read at rest, as JSON.
type pollerSecrets struct {
	Headers map[string]string `json:"headers"`
	Secret  string            `json:"secret"`
}

// closePoller answers a poller's three columns of JSON: its settings, what is sealed, and its state.
func (s Seal) closePoller(p *hark.Poller) (settings string, sealed []byte, state string) {
	secret := pollerSecrets{Headers: p.Headers, Secret: p.Secret.Reveal()}
	return MustJSON(p.PollerSettings), s.close(placeOfPoller(p), MustJSON(secret)), MustJSON(p.State)
}

func placeOfPoller(p *hark.Poller) []byte {
	about := strconv.AppendInt([]byte("poller\x00"), p.ApplicationRef, 10)
	return fmt.Appendf(about, "\x00%s", p.ID)
}

// PollerSQL are the statements of pollers: ref, environment, id, application, the application's id, uid, settings,
// sealed, state, revision, due, paused, created_at, updated_at. ByID, ByUID, ByRef and List leave out those of deleted
// applications. Update and End raise the revision.
type PollerSQL struct {
	Insert      string  // ref, application, id, uid; the columns from settings to updated_at
	Update      string  // uid, settings, sealed, state, due, paused, updated_at; ref
	Delete      string  // ref
	Reseal      string  // sealed; ref
	ByID, ByUID string  // application, id or uid
	ByRef       string  // ref
	List        Listing // application, behind and before an id, limit
	Every       string  // application; by id
	Sealed      string  // behind a ref, some; by ref

	Due string // now; ref, application and due of those that are, the earliest first
	// Next is the moment at which the first of the others will be, or 0.
	Next string // now
	// At counts the poller if it has still that revision, and keeps it so.
	At  string // ref, revision
	End string // state, due; ref

	// Items are item, content, version, seen_at.
	EveryItem   string // poller, behind an item, so many; by item
	ForgetItems string // poller, before a moment
	DeleteItems string // poller
}

func (s Seal) scanPoller(r Row) (hark.Poller, error) {
	p := hark.Poller{
		Ref: r.Int(0), EnvironmentID: hark.EnvironmentID(r.Text(1)), ID: hark.PollerID(r.Text(2)), ApplicationRef: r.Int(3),
		ApplicationID: hark.ApplicationID(r.Text(4)), UID: r.Text(5), Revision: r.Int(9), Due: r.Time(10), Paused: r.Bool(11),
		CreatedAt: r.Time(12), UpdatedAt: r.Time(13),
	}
	if err := errors.Join(r.Decode(6, &p.PollerSettings), r.Decode(8, &p.State)); err != nil {
		return p, err
	}
	var secret pollerSecrets
	if err := s.openInto(placeOfPoller(&p), r.Blob(7), &secret); err != nil {
		return p, fmt.Errorf("secrets of %s: %w", p.ID, err)
	}
	p.Headers, p.Secret = secret.Headers, hark.SecretKey(secret.Secret)
	return p, nil
}

func scanDuePoller(r Row) (store.DuePoller, error) {
	return store.DuePoller{Ref: r.Int(0), ApplicationRef: r.Int(1), Due: r.Time(2)}, nil
}

// ScanPollerItem reads item, content, version, seen_at.
func ScanPollerItem(r Row) (store.PollerItem, error) {
	item := store.PollerItem{Version: r.Int(2), SeenAt: r.Time(3)}
	copy(item.Item[:], r.Blob(0))
	copy(item.Content[:], r.Blob(1))
	return item, nil
}

// InsertPoller adds a poller.
func (k *Kinds) InsertPoller(ctx context.Context, p hark.Poller) (hark.Poller, error) {
	sql := &k.sql.Poller
	return answer(ctx, k.access.Change, func(c Conn) (hark.Poller, error) {
		if err := freeUID(c.Query, "A poller", sql.ByUID, p.ApplicationRef, p.UID, 0); err != nil {
			return hark.Poller{}, err
		}
		ref, err := k.insertPoller(c, &p)
		if err != nil {
			return hark.Poller{}, taken(err, "A poller", string(p.ID))
		}
		return Find(c.Query, k.access.Seal.scanPoller, sql.ByRef, ref)
	})
}

func (k *Kinds) insertPoller(c Conn, p *hark.Poller) (hark.Ref, error) {
	settings, sealed, state := k.access.Seal.closePoller(p)
	return c.Insert("poller", k.sql.Poller.Insert, p.ApplicationRef, string(p.ID), Nullable(p.UID), settings, sealed, state,
		p.Revision, p.Due, p.Paused, p.CreatedAt, p.UpdatedAt)
}

// UpdatePoller changes a poller.
func (k *Kinds) UpdatePoller(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Poller) error) (p hark.Poller, err error) {
	sql := &k.sql.Poller
	err = k.access.Change(ctx, func(c Conn) (err error) {
		if p, err = k.findPoller(c.Query, app, idOrUID); err != nil {
			return err
		}
		was := p
		if err := change(&p); err != nil {
			return err
		}
		p.Ref, p.ID, p.ApplicationRef = was.Ref, was.ID, was.ApplicationRef // they name the row, and what is sealed
		if err := freeUID(c.Query, "A poller", sql.ByUID, p.ApplicationRef, p.UID, p.Ref); err != nil {
			return err
		}
		settings, sealed, state := k.access.Seal.closePoller(&p)
		if _, err := c.Exec(sql.Update, Nullable(p.UID), settings, sealed, state, p.Due, p.Paused, p.UpdatedAt, p.Ref); err != nil {
			return err
		}
		p, err = Find(c.Query, k.access.Seal.scanPoller, sql.ByRef, p.Ref)
		return err
	})
	return p, err
}

// DeletePoller removes a poller.
func (k *Kinds) DeletePoller(ctx context.Context, app hark.Ref, idOrUID string) error {
	return k.access.Change(ctx, func(c Conn) error {
		p, err := k.findPoller(c.Query, app, idOrUID)
		if err != nil {
			return err
		}
		if _, err := c.Exec(k.sql.Poller.DeleteItems, p.Ref); err != nil {
			return err
		}
		_, err = c.Exec(k.sql.Poller.Delete, p.Ref)
		return err
	})
}

// Poller finds a poller by id or uid.
func (k *Kinds) Poller(ctx context.Context, app hark.Ref, idOrUID string) (hark.Poller, error) {
	return answer(ctx, k.access.Read, func(q Query) (hark.Poller, error) {
		return k.findPoller(q, app, idOrUID)
	})
}

func (k *Kinds) findPoller(q Query, app hark.Ref, idOrUID string) (hark.Poller, error) {
	return findEither(q, k.access.Seal.scanPoller, k.sql.Poller.ByID, k.sql.Poller.ByUID, app, idOrUID)
}

// PollerByRef finds a poller.
func (k *Kinds) PollerByRef(ctx context.Context, ref hark.Ref) (hark.Poller, error) {
	return Get(ctx, k.access.Read, k.access.Seal.scanPoller, k.sql.Poller.ByRef, ref)
}

// ListPollers lists the pollers of an application.
func (k *Kinds) ListPollers(ctx context.Context, app hark.Ref, page store.Page) ([]hark.Poller, error) {
	return listPage(ctx, k, k.access.Seal.scanPoller, k.sql.Poller.List, PageOfText(page), app)
}

// DuePollers lists what is due, and says when something will be.
func (k *Kinds) DuePollers(ctx context.Context, now time.Time) (due []store.DuePoller, next time.Time, err error) {
	err = k.access.Read(ctx, func(q Query) (err error) {
		if due, err = Collect(q, scanDuePoller, k.sql.Poller.Due, now); err != nil {
			return err
		}
		ms, err := Find(q, ScanRef, k.sql.Poller.Next, now)
		next = Moment(ms)
		return err
	})
	return due, next, err
}

// RecordPoll keeps what a run has come to.
func (k *Kinds) RecordPoll(ctx context.Context, progress *store.PollProgress) (kept bool, err error) {
	sql := &k.sql.Poller
	err = k.access.Change(ctx, func(c Conn) error {
		n, err := Find(c.Query, ScanRef, sql.At, progress.PollerRef, progress.Revision)
		if kept = n == 1; err != nil || !kept {
			return err
		}
		if err := k.access.PutItems(c, progress.PollerRef, progress.Items); err != nil {
			return err
		}
		if !progress.ForgetBefore.IsZero() {
			if _, err := c.Exec(sql.ForgetItems, progress.PollerRef, progress.ForgetBefore); err != nil {
				return err
			}
		}
		if progress.State == nil {
			return nil
		}
		_, err = c.Exec(sql.End, MustJSON(progress.State), progress.Due, progress.PollerRef)
		return err
	})
	return kept && err == nil, err
}
