package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	sealedEndpointsSQL = endpointColumns + `WHERE ref > $1 ORDER BY ref LIMIT 100`

	sealedSourcesSQL = sourceColumns + `WHERE s.ref > $1 ORDER BY s.ref LIMIT 100`

	resealSourceSQL = `UPDATE source SET sealed = $1 WHERE ref = $2`

	resealSQL = `UPDATE endpoint SET headers = $1, secrets = $2, variables = $3 WHERE ref = $4`
)

// Reseal seals everything again, with the newest key; it answers how many endpoints,
// sources and pollers it went through. It can be interrupted and repeated.
func (s *Store) Reseal(ctx context.Context) (n int, err error) {
	var last hark.Ref
	for more := true; more; {
		if err := s.change(ctx, func(c *conn) error {
			if _, err := next(c, "change"); err != nil { // no other change meanwhile
				return err
			}
			eps, err := row.Collect(c.query, s.seal.ScanEndpoint, sealedEndpointsSQL, last)
			more = len(eps) > 0
			if err != nil {
				return err
			}
			for i := range eps {
				headers, secrets := s.seal.Close(&eps[i])
				_, variables := s.seal.CloseTransformation(&eps[i])
				if _, err := c.exec(resealSQL, headers, secrets, variables, eps[i].Ref); err != nil {
					return err
				}
				last = eps[i].Ref
			}
			n += len(eps)
			return nil
		}); err != nil {
			return n, err
		}
	}
	sources, err := s.resealSources(ctx)
	if err != nil {
		return n + sources, err
	}
	pollers, err := s.resealPollers(ctx)
	return n + sources + pollers, err
}

func (s *Store) resealSources(ctx context.Context) (n int, err error) {
	var last hark.Ref
	for more := true; more; {
		if err := s.change(ctx, func(c *conn) error {
			if _, err := next(c, "change"); err != nil { // no other change meanwhile
				return err
			}
			all, err := row.Collect(c.query, s.seal.ScanSource, sealedSourcesSQL, last)
			more = len(all) > 0
			if err != nil {
				return err
			}
			for i := range all {
				_, sealed := s.seal.CloseSource(&all[i])
				if _, err := c.exec(resealSourceSQL, sealed, all[i].Ref); err != nil {
					return err
				}
				last = all[i].Ref
			}
			n += len(all)
			return nil
		}); err != nil {
			return n, err
		}
	}
	return n, nil
}
