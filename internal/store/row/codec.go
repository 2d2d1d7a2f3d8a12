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

// EncodeRefs packs refs as varints of the differences between them; their order is lost, nil and
// empty are both nil.
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
		out = binary.AppendUvarint(out, uint64(ref-last))
		last = ref
	}
	return out
}

// DecodeRefs reads what EncodeRefs wrote, as far as it can be read.
func DecodeRefs(blob []byte) []hark.Ref {
	var refs []hark.Ref
	var last hark.Ref
	for len(blob) > 0 {
		diff, n := binary.Uvarint(blob)
		if n <= 0 {
			return refs
		}
		last += hark.Ref(diff)
		refs = append(refs, last)
		blob = blob[n:]
	}
	return refs
}

// Nullable stores "" as NULL.
func Nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
