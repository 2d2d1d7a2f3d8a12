package row_test

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// answering is a query that answers these rows.
func answering(rows ...row.Row) row.Query {
	return func(scan func(row.Row) error, _ string, _ ...any) error {
		for _, r := range rows {
			if err := scan(r); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestScanState_IsDerivedFromAttemptsAndTheQueue(t *testing.T) {
	const due, planned = int64(1000), int64(900)
	for name, test := range map[string]struct {
		row  row.Row
		want hark.AttemptStatus
	}{
		"a success":                        {row.Row{int64(2), true, int64(0), nil}, hark.Succeeded},
		"a success, queued again":          {row.Row{int64(2), true, planned, due}, hark.Succeeded},
		"queued":                           {row.Row{int64(0), false, nil, due}, hark.Pending},
		"queued after a failure":           {row.Row{int64(1), false, planned, due}, hark.Sending},
		"nothing":                          {row.Row{int64(0), false, nil, nil}, hark.Canceled},
		"another attempt was planned":      {row.Row{int64(1), false, planned, nil}, hark.Canceled},
		"no other attempt was planned":     {row.Row{int64(9), false, int64(0), nil}, hark.Failed},
		"no other attempt, without a bool": {row.Row{int64(9), int64(0), int64(0), nil}, hark.Failed},
	} {
		st, err := row.ScanState(test.row)
		if err != nil || st.Status != test.want {
			t.Errorf("%s: %v, %v; want %v", name, st.Status, err, test.want)
		}
		if st.Queued == st.Next.IsZero() {
			t.Errorf("%s: queued %t, next %v", name, st.Queued, st.Next)
		}
	}
}

func TestFind_SaysThatThereIsNone(t *testing.T) {
	if _, err := row.Find(answering(), row.ScanRef, ""); !errors.Is(err, hark.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if ref, err := row.Find(answering(row.Row{int64(7)}), row.ScanRef, ""); ref != 7 || err != nil {
		t.Errorf("got %d, %v", ref, err)
	}
}

func TestInOrder_AnswersAsAsked(t *testing.T) {
	ref := func(n *int64) hark.Ref { return *n }
	if diff := cmp.Diff([]int64{3, 1, 3}, row.InOrder([]int64{1, 3}, []hark.Ref{3, 2, 1, 3}, ref)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWaiting_IsBounded(t *testing.T) {
	w := row.Waiting[string]{MaxItems: 10, MaxBytes: 100}
	push := func(write string, items, bytes int, fresh bool) hark.Code {
		return hark.CodeOf(w.Push(write, items, bytes, fresh))
	}
	if code := push("large, but alone", 11, 1, true); code != "" {
		t.Errorf("alone: %s", code)
	}
	if code := push("fresh", 1, 1, true); code != hark.Overloaded {
		t.Errorf("fresh: %q, want Overloaded", code)
	}
	if code := push("a settlement", 1, 1, false); code != "" {
		t.Errorf("a settlement: %s", code)
	}
	if !w.Withdraw("large, but alone") || w.Withdraw("large, but alone") || w.Items != 1 || w.Bytes != 1 {
		t.Errorf("after withdrawing: %d items, %d bytes", w.Items, w.Bytes)
	}
	if code := push("too many bytes", 1, 100, true); code != hark.Overloaded {
		t.Errorf("bytes: %q, want Overloaded", code)
	}
}

func TestWaiting_IsCutInOrder(t *testing.T) {
	w := row.Waiting[string]{MaxItems: 100, MaxBytes: 1000}
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := w.Push(name, 4, 10, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []struct {
		group           []string
		items, maxBytes int
	}{{[]string{"a", "b"}, 5, 1000}, {[]string{"c"}, 1000, 1}} {
		if diff := cmp.Diff(want.group, w.Cut(want.items, want.maxBytes)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if got := w.All(); len(got) != 1 || got[0] != "d" || w.Len() != 0 || w.Items != 0 || w.Bytes != 0 {
		t.Errorf("what was left: %v; %d items, %d bytes", got, w.Items, w.Bytes)
	}
}

func TestWalk_GoesOnWhereItStopped(t *testing.T) {
	left := map[hark.Ref]int{3: 5, 4: 0, 8: 12} // messages of applications
	var walk row.Walk
	looked := 0
	step := func(limit int) bool {
		more, err := walk.Go(limit, 4, func(after hark.Ref, _ int) (apps []row.Retention, err error) {
			for _, ref := range []hark.Ref{3, 4, 8} {
				if ref > after {
					apps = append(apps, row.Retention{Ref: ref})
				}
			}
			return apps, nil
		}, func(app row.Retention, after []byte, limit int) (old []row.Old, err error) {
			if after == nil || limit > 4 {
				t.Errorf("application %d: after %v, limit %d", app.Ref, after, limit)
			}
			for range min(limit, left[app.Ref]) {
				left[app.Ref]--
				looked++
				old = append(old, row.Old{ID: []byte{byte(looked)}})
			}
			return old, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return more
	}
	for want := 6; want < 17; want += 6 {
		if !step(6) || looked != want {
			t.Fatalf("looked at %d, want %d", looked, want)
		}
	}
	if step(6) || looked != 17 {
		t.Errorf("at the end: %d, want 17", looked)
	}
	left[3] = 1
	if step(6) || looked != 18 {
		t.Errorf("from the beginning: %d, want 18", looked)
	}
}

func TestWalk_GoesOnAfterAnError(t *testing.T) {
	var walk row.Walk
	broken := errors.New("broken")
	apps := func(hark.Ref, int) ([]row.Retention, error) { return []row.Retention{{Ref: 1}}, nil }
	if _, err := walk.Go(6, 4, apps, func(row.Retention, []byte, int) ([]row.Old, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if more, err := walk.Go(6, 4, apps, func(row.Retention, []byte, int) ([]row.Old, error) { return nil, nil }); more || err != nil {
		t.Errorf("afterwards: %t, %v", more, err)
	}
}

func TestScanRetention_ForgetsADeletedApplicationAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)
	end := func(kept time.Duration) string {
		k := hark.KSUIDFloor(now.Add(-kept))
		return string(k[:])
	}
	for name, test := range map[string]struct {
		row  row.Row
		want string
	}{
		"kept an hour":    {row.Row{int64(1), int64(time.Hour), int64(0)}, end(time.Hour)},
		"kept as usual":   {row.Row{int64(1), int64(0), int64(0)}, end(hark.DefaultRetention)},
		"no environment":  {row.Row{int64(1), nil, int64(0)}, end(hark.DefaultRetention)},
		"deleted already": {row.Row{int64(1), int64(time.Hour), int64(5)}, string(row.LastID())},
	} {
		if got, err := row.ScanRetention(now)(test.row); err != nil || string(got.End) != test.want {
			t.Errorf("%s: %x, %v; want %x", name, got.End, err, test.want)
		}
	}
}

func TestCompare_SaysWhatAVersionMayTouch(t *testing.T) {
	all, err := row.Migrations(fstest.MapFS{
		"migrations/0002_b.sql": {Data: []byte("B")}, "migrations/0001_a.sql": {Data: []byte("A")}, "migrations/notes.txt": {},
	})
	if err != nil || len(all) != 2 || all[0].Name != "0001_a" || all[0].Text != "A" || all[0].Sum == all[1].Sum {
		t.Fatalf("read %+v, %v", all, err)
	}
	for name, test := range map[string]struct {
		applied map[string]string
		want    row.MigrationStatus
		refused bool
	}{
		"nothing": {nil, row.MigrationStatus{Pending: []string{"0001_a", "0002_b"}}, false},
		"a part":  {map[string]string{"0001_a": all[0].Sum}, row.MigrationStatus{Applied: []string{"0001_a"}, Pending: []string{"0002_b"}}, false},
		"another wording": {map[string]string{"0001_a": "x", "0002_b": all[1].Sum},
			row.MigrationStatus{Applied: []string{"0002_b"}, Changed: []string{"0001_a"}}, true},
		"a newer one": {map[string]string{"0001_a": all[0].Sum, "0002_b": all[1].Sum, "0003_c": "x"},
			row.MigrationStatus{Applied: []string{"0001_a", "0002_b"}, Newer: []string{"0003_c"}}, true},
	} {
		got := row.Compare(all, test.applied)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (got.Refusal() != nil) != test.refused {
			t.Errorf("%s: %v", name, got.Refusal())
		}
	}
}
