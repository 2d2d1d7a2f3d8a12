package row

import (
	"context"

	"github.com/harkhq/hark"
)

// Reseal seals everything again, with the newest key; it answers how many endpoints, sources and pollers it
// went through. It can be interrupted and repeated.
func (k *Kinds) Reseal(ctx context.Context) (n int, err error) {
	seal, sql := k.access.Seal, &k.sql
	endpoints, err := reseal(ctx, k, seal.ScanEndpoint, sql.Endpoint.Sealed, sql.Endpoint.Reseal, func(ep *hark.Endpoint) (hark.Ref, []any) {
		headers, secrets := seal.Close(ep)
		_, variables := seal.closeTransformation(ep)
		return ep.Ref, []any{headers, secrets, variables}
	})
	if err != nil {
		return endpoints, err
	}
	sources, err := reseal(ctx, k, seal.scanSource, sql.Source.Sealed, sql.Source.Reseal, func(src *hark.Source) (hark.Ref, []any) {
		_, sealed := seal.closeSource(src)
		return src.Ref, []any{sealed}
	})
	if err != nil {
		return endpoints + sources, err
	}
	pollers, err := reseal(ctx, k, seal.scanPoller, sql.Poller.Sealed, sql.Poller.Reseal, func(p *hark.Poller) (hark.Ref, []any) {
		_, sealed, _ := seal.closePoller(p)
		return p.Ref, []any{sealed}
	})
	return endpoints + sources + pollers, err
}

// reseal seals the rows of a kind again, some in each transaction. values answers a row's ref, and what is
// written of it.
func reseal[T any](ctx context.Context, k *Kinds, scan func(Row) (T, error), sealed, update string, values func(*T) (hark.Ref, []any)) (n int, err error) {
	var last hark.Ref
	for {
		some, next := 0, last // the change may run more than once
		err := k.access.Change(ctx, func(c Conn) error {
			if k.sql.Alone != "" {
				if _, err := c.Exec(k.sql.Alone); err != nil {
					return err
				}
			}
			all, err := Collect(c.Query, scan, sealed, last)
			if err != nil {
				return err
			}
			for i := range all {
				ref, columns := values(&all[i])
				if _, err := c.Exec(update, append(columns, ref)...); err != nil {
					return err
				}
				next = ref
			}
			some = len(all)
			return nil
		})
		if err != nil || some == 0 {
			return n, err
		}
		n, last = n+some, next
	}
}
