package row_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

func TestRow_ReadsWhatEitherDatabaseAnswers(t *testing.T) {
	r := row.Row{int64(7), int16(7), true, int64(1), "[]", []byte("[]"), nil, []byte(nil)}
	if r.Int(0) != 7 || r.Int(1) != 7 || !r.Bool(2) || !r.Bool(3) || r.Text(4) != "[]" {
		t.Errorf("numbers and texts: %v", r)
	}
	if string(r.Blob(4)) != "[]" || string(r.Blob(5)) != "[]" || r.Blob(6) != nil || r.Blob(7) == nil {
		t.Errorf("bytes: %v", r)
	}
	if r.Int(6) != 0 || r.Bool(6) || r.Text(6) != "" || !r.Time(6).IsZero() || !r.Null(6) || r.Null(0) {
		t.Errorf("NULL is not zero: %v", r)
	}
	was := []string{"kept"}
	if err := r.Decode(6, &was); err != nil || len(was) != 1 {
		t.Errorf("NULL was decoded into %v, %v", was, err)
	}
	if err := r.Decode(4, &was); err != nil || was == nil || len(was) != 0 {
		t.Errorf("[] was decoded into %v, %v", was, err)
	}
	if err := r.Decode(0, &was); err == nil {
		t.Error("a number was decoded as a list")
	}
}

func TestMillis_KeepsTheZeroTime(t *testing.T) {
	at := time.Date(2026, 11, 5, 6, 7, 8, 9_000_000, time.FixedZone("", 3600))
	for _, want := range []time.Time{{}, at} {
		if got := row.Moment(row.Millis(want)); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestEncode_KeepsNilAndEmptyApart(t *testing.T) {
	if got := row.Encode([]string(nil)); got != nil {
		t.Errorf("nil is %v", got)
	}
	if got := row.Encode([]string{}); got != "[]" {
		t.Errorf("empty is %v", got)
	}
	if got := row.EncodeMap(nil); got != nil {
		t.Errorf("a nil map is %v", got)
	}
	if got := row.EncodeRaw(nil); got != nil {
		t.Errorf("nil JSON is %v", got)
	}
}

func FuzzDecodeRefs(f *testing.F) {
	f.Add(row.EncodeRefs([]hark.Ref{9, 3, 1 << 40, math.MaxInt64}))
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, blob []byte) {
		refs := row.DecodeRefs(blob) // of anything, without harm
		slices.Sort(refs)
		if len(refs) > 0 && refs[0] <= 0 {
			return // no ref is negative, or zero
		}
		refs = slices.Compact(refs)
		if diff := cmp.Diff(refs, row.DecodeRefs(row.EncodeRefs(refs))); diff != "" {
			t.Errorf("-in +out:\n%s", diff)
		}
	})
}

func TestEncodeMatched_KeepsBothLists(t *testing.T) {
	of := hark.NewMessageID(time.Unix(1_700_000_000, 0))
	for name, test := range map[string]struct {
		refs       []hark.Ref
		duplicates []hark.Duplicate
	}{
		"none":       {},
		"refs":       {[]hark.Ref{1, 2, 300}, nil},
		"duplicates": {nil, []hark.Duplicate{{EndpointRef: 1 << 50, Of: of}}},
		"both":       {[]hark.Ref{7, 1 << 40}, []hark.Duplicate{{EndpointRef: 3, Of: of}, {EndpointRef: 9, Of: of}}},
	} {
		blob, err := row.EncodeMatched(test.refs, test.duplicates)
		if err != nil {
			t.Fatal(err)
		}
		refs, duplicates := row.DecodeMatched(blob)
		if diff := cmp.Diff(test.refs, refs) + cmp.Diff(test.duplicates, duplicates); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.refs, row.DecodeRefs(blob)); diff != "" {
			t.Errorf("%s, the refs alone (-want +got):\n%s", name, diff)
		}
	}
	if _, err := row.EncodeMatched(nil, []hark.Duplicate{{EndpointRef: 1, Of: "nonsense"}}); err == nil {
		t.Error("what is no id was kept")
	}
}

func FuzzDecodeMatched(f *testing.F) {
	blob, _ := row.EncodeMatched([]hark.Ref{4, 9}, []hark.Duplicate{{EndpointRef: 3, Of: hark.NewMessageID(time.Unix(1_700_000_000, 0))}})
	f.Add(blob)
	f.Add([]byte{0, 0xff})
	f.Fuzz(func(t *testing.T, blob []byte) {
		_, duplicates := row.DecodeMatched(blob) // of anything, without harm
		again, err := row.EncodeMatched(nil, duplicates)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := row.DecodeMatched(again); !slices.Equal(got, duplicates) {
			t.Errorf("in %v, out %v", duplicates, got)
		}
	})
}

func TestPageOfText_IsReadFromTheEndThatThePageIsAt(t *testing.T) {
	for name, test := range map[string]struct {
		page store.Page
		want row.TextRange
	}{
		"first":             {store.Page{Limit: 2}, row.TextRange{High: "\U0010FFFF", Limit: 2}},
		"next":              {store.Page{From: "m"}, row.TextRange{Low: "m", High: "\U0010FFFF"}},
		"before":            {store.Page{From: "m", Backward: true}, row.TextRange{High: "m", Down: true, Turn: true}},
		"descending":        {store.Page{From: "m", Descending: true}, row.TextRange{High: "m", Down: true}},
		"descending before": {store.Page{From: "m", Descending: true, Backward: true}, row.TextRange{Low: "m", High: "\U0010FFFF", Turn: true}},
	} {
		if diff := cmp.Diff(test.want, row.PageOfText(test.page)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPageOfIDs_IsNeverWiderThanItsSpan(t *testing.T) {
	now := time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)
	early, late := hark.KSUIDFloor(now.Add(-time.Hour)), hark.KSUIDFloor(now.Add(time.Hour))
	for _, backward := range []bool{false, true} {
		for _, from := range []string{early.Format(hark.MessagePrefix), late.Format(hark.MessagePrefix)} {
			r, err := row.PageOfIDs(store.Page{From: from, Backward: backward}, hark.MessagePrefix, now, now.Add(time.Minute), false)
			low := hark.KSUIDFloor(now)
			if err != nil || string(r.Low) < string(low[:]) || string(r.High) > string(late[:]) {
				t.Errorf("from %s, backward %t: %x to %x, %v", from, backward, r.Low, r.High, err)
			}
			if r.Down == backward || r.Turn == r.Down {
				t.Errorf("from %s, backward %t: down %t, turn %t", from, backward, r.Down, r.Turn)
			}
		}
	}
	if _, err := row.PageOfIDs(store.Page{From: "nonsense"}, hark.MessagePrefix, now, now, false); hark.CodeOf(err) != hark.Invalid {
		t.Errorf("nonsense: %v", err)
	}
}

// reverser is a sealer that can be recognised.
type reverser struct{}

func (reverser) Seal(plain, about []byte) []byte { return append([]byte(string(about)+"|"), plain...) }

func (reverser) Open(sealed, about []byte) ([]byte, error) {
	if _, plain, ok := strings.Cut(string(sealed), string(about)+"|"); ok {
		return []byte(plain), nil
	}
	return nil, errors.New("another place")
}

func TestSeal_OpensOnlyInItsPlace(t *testing.T) {
	seal := row.Seal{Sealer: reverser{}}
	ep := hark.Endpoint{ID: "ep_1", ApplicationRef: 1, Headers: map[string]string{"a": "b"}, Secrets: []hark.Secret{{Key: "whsec_x"}}}
	headers, secrets := seal.Close(&ep)
	same := hark.Endpoint{ID: "ep_1", ApplicationRef: 1}
	if err := seal.Open(&same, headers, secrets); err != nil || same.Headers["a"] != "b" || same.Secrets[0].Key.Reveal() != "whsec_x" {
		t.Errorf("in its place: %+v, %v", same, err)
	}
	for name, test := range map[string]struct {
		seal             row.Seal
		ep               hark.Endpoint
		headers, secrets []byte
	}{
		"another endpoint":    {seal, hark.Endpoint{ID: "ep_2", ApplicationRef: 1}, headers, secrets},
		"another application": {seal, hark.Endpoint{ID: "ep_1", ApplicationRef: 2}, headers, secrets},
		"another column":      {seal, hark.Endpoint{ID: "ep_1", ApplicationRef: 1}, secrets, headers},
		"no master key":       {row.Seal{}, hark.Endpoint{ID: "ep_1", ApplicationRef: 1}, headers, secrets},
		"nothing":             {seal, hark.Endpoint{ID: "ep_1", ApplicationRef: 1}, []byte{}, []byte{}},
		"a mangled text":      {seal, hark.Endpoint{ID: "ep_1", ApplicationRef: 1}, nil, []byte("\x00whsec_x")},
	} {
		err := test.seal.Open(&test.ep, test.headers, test.secrets)
		if err == nil || strings.Contains(err.Error(), "whsec_x") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeal_WithoutAKeyKeepsWhatWasPlain(t *testing.T) {
	ep := hark.Endpoint{ID: "ep_1", Secrets: []hark.Secret{{Key: "whsec_x"}}}
	headers, secrets := row.Seal{}.Close(&ep)
	for _, seal := range []row.Seal{{}, {Sealer: reverser{}}} {
		again := hark.Endpoint{ID: "ep_1"}
		if err := seal.Open(&again, headers, secrets); err != nil || again.Headers != nil || again.Secrets[0].Key.Reveal() != "whsec_x" {
			t.Errorf("with %v: %+v, %v", seal, again, err)
		}
	}
}
