package row

import (
	"context"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// EndpointSQL are the statements of endpoints. What is written of one are its settings: uid, url, description,
// version, metadata, headers, secrets, event_types, channels, filter, disabled, disabled_reason, disabled_at,
// paused, throttle_rate, concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules, transformation,
// variables. What is read is what Seal.ScanEndpoint says. ByID, ByUID, List and All leave out the deleted ones.
type EndpointSQL struct {
	Insert      string  // ref, application, id; the settings; created_at, updated_at
	Update      string  // the settings; updated_at; ref
	Delete      string  // now; ref: frees the uid as well
	Reseal      string  // headers, secrets, variables; ref
	ByID, ByUID string  // application, id or uid
	ByRef       string  // ref
	List        Listing // application, behind and before an id, limit
	All         string  // application; by id
	Every       string  // application; by id
	Sealed      string  // behind a ref, some; by ref
}

// ScanEndpoint reads ref, application, id, uid, url, description, version, metadata, headers, secrets,
// event_types, channels, filter, disabled, disabled_reason, disabled_at, paused, throttle_rate,
// concurrency, timeout, retry_schedule, ordering, skip_tls_verify, rules, created_at, updated_at,
// deleted_at, transformation, variables.
func (s Seal) ScanEndpoint(r Row) (hark.Endpoint, error) {
	ep := hark.Endpoint{
		Ref: r.Int(0), ApplicationRef: r.Int(1), ID: hark.EndpointID(r.Text(2)), UID: r.Text(3), URL: r.Text(4),
		Description: r.Text(5), Version: int(r.Int(6)), Filter: r.Raw(12), Disabled: r.Bool(13), DisabledReason: r.Text(14),
		DisabledAt: r.Time(15), Paused: r.Bool(16), ThrottleRate: int(r.Int(17)), Concurrency: int(r.Int(18)),
		Timeout: time.Duration(r.Int(19)), Ordering: hark.Ordering(r.Text(21)), SkipTLSVerify: r.Bool(22),
		CreatedAt: r.Time(24), UpdatedAt: r.Time(25), DeletedAt: r.Time(26),
	}
	err := errors.Join(
		r.Decode(7, &ep.Metadata), r.Decode(10, &ep.EventTypes), r.Decode(11, &ep.Channels), r.Decode(20, &ep.RetrySchedule), r.Decode(23, &ep.Rules),
		s.Open(&ep, r.Blob(8), r.Blob(9)), s.openTransformation(&ep, r.Blob(27), r.Blob(28)),
	)
	return ep, err
}

// endpointValues are what an endpoint's row holds in the columns that an update may change.
func (s Seal) endpointValues(ep *hark.Endpoint) []any {
	headers, secrets := s.Close(ep)
	transformation, variables := s.closeTransformation(ep)
	return []any{Nullable(ep.UID), ep.URL, ep.Description, ep.Version, EncodeMap(ep.Metadata), headers,
		secrets, Encode(ep.EventTypes), Encode(ep.Channels), EncodeRaw(ep.Filter), ep.Disabled, ep.DisabledReason, ep.DisabledAt, ep.Paused, ep.ThrottleRate,
		ep.Concurrency, int64(ep.Timeout), Encode(ep.RetrySchedule), string(ep.Ordering), ep.SkipTLSVerify, encodeRules(ep.Rules),
		transformation, variables}
}

// encodeRules stores no rules as NULL.
func encodeRules(r hark.Rules) any {
	if r.IsZero() {
		return nil
	}
	return MustJSON(r)
}

// InsertEndpoint adds an endpoint.
func (k *Kinds) InsertEndpoint(ctx context.Context, ep hark.Endpoint) (added hark.Endpoint, err error) {
	sql := &k.sql.Endpoint
	err = k.access.Configure(ctx, func(c Conn) (hark.Ref, error) {
		if err := freeUID(c.Query, "An endpoint", sql.ByUID, ep.ApplicationRef, ep.UID, 0); err != nil {
			return 0, err
		}
		nothing := hark.Transformation{}
		countVersion(nothing, &ep.Transformation)
		ref, err := k.insertEndpoint(c, &ep)
		if err != nil {
			return 0, taken(err, "An endpoint", string(ep.ID))
		}
		if err := k.sql.Version.keep(c, ref, nothing, &ep.Transformation); err != nil {
			return 0, err
		}
		added, err = Find(c.Query, k.access.Seal.ScanEndpoint, sql.ByRef, ref)
		return ep.ApplicationRef, err
	})
	return added, err
}

func (k *Kinds) insertEndpoint(c Conn, ep *hark.Endpoint) (hark.Ref, error) {
	args := append([]any{ep.ApplicationRef, string(ep.ID)}, k.access.Seal.endpointValues(ep)...)
	return c.Insert("endpoint", k.sql.Endpoint.Insert, append(args, ep.CreatedAt, ep.UpdatedAt)...)
}

// UpdateEndpoint changes an endpoint.
func (k *Kinds) UpdateEndpoint(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Endpoint) error) (ep hark.Endpoint, err error) {
	sql := &k.sql.Endpoint
	err = k.access.Configure(ctx, func(c Conn) (_ hark.Ref, err error) {
		if ep, err = k.findEndpoint(c.Query, app, idOrUID); err != nil {
			return 0, err
		}
		ref, id, was := ep.Ref, ep.ID, ep.Transformation
		if err := change(&ep); err != nil {
			return 0, err
		}
		ep.Ref, ep.ID, ep.ApplicationRef = ref, id, app // they name the row, and what is sealed
		countVersion(was, &ep.Transformation)
		if err := freeUID(c.Query, "An endpoint", sql.ByUID, app, ep.UID, ref); err != nil {
			return 0, err
		}
		if _, err := c.Exec(sql.Update, append(k.access.Seal.endpointValues(&ep), ep.UpdatedAt, ref)...); err != nil {
			return 0, err
		}
		if err := k.sql.Version.keep(c, ref, was, &ep.Transformation); err != nil {
			return 0, err
		}
		ep, err = Find(c.Query, k.access.Seal.ScanEndpoint, sql.ByRef, ref)
		return app, err
	})
	return ep, err
}

// DeleteEndpoint makes an endpoint and its queue disappear; history still names it.
func (k *Kinds) DeleteEndpoint(ctx context.Context, app hark.Ref, idOrUID string, now time.Time) error {
	err := k.access.Configure(ctx, func(c Conn) (hark.Ref, error) {
		ep, err := k.findEndpoint(c.Query, app, idOrUID)
		if err != nil {
			return 0, err
		}
		if _, err := c.Exec(k.sql.Endpoint.Delete, now, ep.Ref); err != nil {
			return 0, err
		}
		_, err = c.Exec(k.sql.Version.Delete, ep.Ref)
		return app, err
	})
	if err == nil {
		k.access.Sweep()
	}
	return err
}

// Endpoint finds a live endpoint by id or uid.
func (k *Kinds) Endpoint(ctx context.Context, app hark.Ref, idOrUID string) (hark.Endpoint, error) {
	return answer(ctx, k.access.Read, func(q Query) (hark.Endpoint, error) {
		return k.findEndpoint(q, app, idOrUID)
	})
}

func (k *Kinds) findEndpoint(q Query, app hark.Ref, idOrUID string) (hark.Endpoint, error) {
	return findEither(q, k.access.Seal.ScanEndpoint, k.sql.Endpoint.ByID, k.sql.Endpoint.ByUID, app, idOrUID)
}

// ListEndpoints lists live endpoints.
func (k *Kinds) ListEndpoints(ctx context.Context, app hark.Ref, page store.Page) ([]hark.Endpoint, error) {
	return k.listEndpoints(ctx, app, PageOfText(page).Within(hark.EndpointPrefix))
}

// ListConsumers lists live endpoints that are pulled.
func (k *Kinds) ListConsumers(ctx context.Context, app hark.Ref, page store.Page) ([]hark.Endpoint, error) {
	return k.listEndpoints(ctx, app, PageOfText(page).Within(hark.ConsumerPrefix))
}

func (k *Kinds) listEndpoints(ctx context.Context, app hark.Ref, p TextRange) ([]hark.Endpoint, error) {
	return listPage(ctx, k, k.access.Seal.ScanEndpoint, k.sql.Endpoint.List, p, app)
}

// AllEndpoints lists every live endpoint of an application.
func (k *Kinds) AllEndpoints(ctx context.Context, app hark.Ref) ([]hark.Endpoint, error) {
	return List(ctx, k.access.Read, k.access.Seal.ScanEndpoint, k.sql.Endpoint.All, app)
}
