package row

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/harkhq/hark"
)

// Millis is how times are stored; the zero time is 0.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Moment reads what Millis wrote.
func Moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Encode writes a slice as JSON text; nil becomes NULL, so that nil and empty come back as they
// went in.
func Encode[T any, S ~[]T](v S) any {
	if v == nil {
		return nil
	}
	return MustJSON(v)
}

// EncodeMap is Encode for maps.
func EncodeMap(m map[string]string) any {
	if m == nil {
		return nil
	}
	return MustJSON(m)
}

// EncodeRaw is Encode for what is JSON already.
func EncodeRaw(v json.RawMessage) any {
	if v == nil {
		return nil
	}
	return string(v)
}

// MustJSON encodes strings, numbers and structs of them, which cannot fail.
func MustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(text)
}

// EncodeRefs packs refs as varints of the differences between them; their order is lost, one that is
// there twice is there once, nil and empty are both nil.
func EncodeRefs(refs []hark.Ref) []byte {
	if len(refs) == 0 {
		return nil
	}
	if !slices.IsSorted(refs) {
		refs = slices.Sorted(slices.Values(refs))
	}
	out := make([]byte, 0, len(refs)*3)
	var last hark.Ref
	for _, ref := range refs {
		if ref == last {
			continue // a zero is the end
		}
		out = binary.AppendUvarint(out, uint64(ref-last))
		last = ref
	}
	return out
}

// DecodeRefs reads what EncodeRefs wrote, as far as it can be read.
func DecodeRefs(blob []byte) []hark.Ref {
	refs, _ := decodeRefs(blob)
	return refs
}

// decodeRefs reads refs up to a zero; rest begins with that.
func decodeRefs(blob []byte) (refs []hark.Ref, rest []byte) {
	var last hark.Ref
	for len(blob) > 0 {
		diff, n := binary.Uvarint(blob)
		if n <= 0 || diff == 0 {
			return refs, blob
		}
		last += hark.Ref(diff)
		refs = append(refs, last)
		blob = blob[n:]
	}
	return refs, blob
}

// EncodeMatched is EncodeRefs, followed by the endpoints that a message was kept from. Nearly no message
// has any, so they have no column of their own: a zero, which is no difference, begins them.
func EncodeMatched(refs []hark.Ref, duplicates []hark.Duplicate) ([]byte, error) {
	out := EncodeRefs(refs)
	for _, d := range duplicates {
		id, err := hark.ParseID(string(d.Of), hark.MessagePrefix)
		if err != nil {
			return nil, fmt.Errorf("a duplicate of message %q: %w", d.Of, err)
		}
		out = append(binary.AppendUvarint(append(out, 0), uint64(d.EndpointRef)), id[:]...)
	}
	return out, nil
}

// DecodeMatched reads what EncodeMatched wrote, as far as it can be read.
func DecodeMatched(blob []byte) (refs []hark.Ref, duplicates []hark.Duplicate) {
	refs, rest := decodeRefs(blob)
	for len(rest) > 0 && rest[0] == 0 {
		ref, n := binary.Uvarint(rest[1:])
		var id hark.KSUID
		if rest = rest[min(1+max(n, 0), len(rest)):]; n <= 0 || len(rest) < len(id) {
			return refs, duplicates
		}
		copy(id[:], rest)
		rest = rest[len(id):]
		duplicates = append(duplicates, hark.Duplicate{EndpointRef: hark.Ref(ref), Of: hark.MessageID(id.Format(hark.MessagePrefix))})
	}
	return refs, duplicates
}

// Nullable stores "" as NULL.
func Nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
