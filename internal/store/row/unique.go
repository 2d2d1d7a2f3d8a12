package row

import (
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// What becomes of the deliveries of a message that are made only once.

// IsKeptBack says whether a delivery of an acceptance is not made, because an equal one was.
func IsKeptBack(a *store.Acceptance, delivery int) bool {
	return slices.ContainsFunc(a.Unique, func(u store.UniqueDelivery) bool { return u.Index == delivery && u.Existing != "" })
}

// MatchedOf is what is kept of a message's endpoints, once it is decided which deliveries are made.
func MatchedOf(a *store.Acceptance) ([]byte, error) {
	refs, duplicates := divide(a)
	return EncodeMatched(refs, duplicates)
}

// anyKeptBack says whether there is a delivery that is not made.
func anyKeptBack(a *store.Acceptance) bool {
	return slices.ContainsFunc(a.Unique, func(u store.UniqueDelivery) bool { return u.Existing != "" })
}

// divide parts a message's endpoints into those that it goes to and those that it is kept from.
func divide(a *store.Acceptance) (refs []hark.Ref, duplicates []hark.Duplicate) {
	if !anyKeptBack(a) {
		return a.Message.Matched, a.Message.Duplicates
	}
	for _, u := range a.Unique {
		if u.Existing != "" {
			duplicates = append(duplicates, hark.Duplicate{EndpointRef: a.Deliveries[u.Index].EndpointRef, Of: u.Existing})
		}
	}
	for _, ref := range a.Message.Matched {
		if !slices.ContainsFunc(duplicates, func(d hark.Duplicate) bool { return d.EndpointRef == ref }) {
			refs = append(refs, ref)
		}
	}
	return refs, duplicates
}

// KeepBack takes the deliveries that were not made out of acceptances that were committed.
func KeepBack(accepted []*store.Acceptance) {
	for _, a := range accepted {
		if a.Outcome != store.Accepted || !anyKeptBack(a) {
			continue
		}
		a.Message.Matched, a.Message.Duplicates = divide(a)
		a.Deliveries = slices.DeleteFunc(slices.Clone(a.Deliveries), func(d hark.Delivery) bool {
			return slices.ContainsFunc(a.Message.Duplicates, func(dup hark.Duplicate) bool { return dup.EndpointRef == d.EndpointRef })
		})
		a.Unique = nil // it speaks of the deliveries as they were
	}
}
