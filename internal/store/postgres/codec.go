package postgres

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/harkhq/hark"
)

// millis is how times are stored; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// encode writes a slice or map as JSON text; nil becomes NULL, so that nil and empty come back
// as they went in.
func encode[T any, S ~[]T](v S) any {
	if v == nil {
		return nil
	}
	return mustJSON(v)
}

func encodeMap(m map[string]string) any {
	if m == nil {
		return nil
	}
	return mustJSON(m)
}

func encodeRaw(v json.RawMessage) any {
	if v == nil {
		return nil
	}
	return string(v)
}

// mustJSON encodes strings, numbers and structs of them, which cannot fail.
func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return string(text)
}

// decode reads column i as JSON into v; NULL leaves v alone.
func (r row) decode(i int, v any) error {
	if r.null(i) {
		return nil
	}
	if err := json.Unmarshal(r.blob(i), v); err != nil {
		return fmt.Errorf("column %d holds no JSON: %w", i, err)
	}
	return nil
}

func (r row) raw(i int) json.RawMessage { return r.blob(i) }

// encodeRefs packs refs as varints of the differences between them; their order is lost, nil and
// empty are both nil.
func encodeRefs(refs []hark.Ref) []byte {
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

func decodeRefs(blob []byte) []hark.Ref {
	var refs []hark.Ref
	var last hark.Ref
	for len(blob) > 0 {
		diff, n := binary.Uvarint(blob)
		if n <= 0 {
			return refs // Check reports it
		}
		last += hark.Ref(diff)
		refs = append(refs, last)
		blob = blob[n:]
	}
	return refs
}

// nullable stores "" as NULL.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
