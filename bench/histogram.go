package main

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

// histogram counts durations in buckets that are at most 1.6 % wide, so that a quantile is exact
// enough and millions of values cost a few kilobytes. It is not safe for concurrent use.
type histogram struct {
	counts map[int]int64
	n      int64
	max    time.Duration
}

// subBuckets is how many buckets each power of two is cut into.
const subBuckets = 64

func newHistogram() *histogram { return &histogram{counts: map[int]int64{}} }

// bucketOf numbers the bucket of d; bucketTop is the largest duration in it.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 7 // leaves 64 … 127
	return (shift+1)*subBuckets + int(v>>shift) - subBuckets
}

func bucketTop(b int) time.Duration {
	if b < subBuckets {
		return time.Duration(b)
	}
	shift := b/subBuckets - 1
	return time.Duration(uint64(b%subBuckets+subBuckets+1)<<shift - 1)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for b, c := range other.counts {
		h.counts[b] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// quantile is the duration that a share q of all values does not exceed; 0 when there is none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	buckets := make([]int, 0, len(h.counts))
	for b := range h.counts {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	want := int64(q*float64(h.n) + 0.999999)
	var seen int64
	for _, b := range buckets {
		if seen += h.counts[b]; seen >= want {
			return min(bucketTop(b), h.max)
		}
	}
	return h.max
}

// summary is what a report shows of a histogram, in milliseconds.
type summary struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func (h *histogram) summary() summary {
	return summary{h.n, millis(h.quantile(0.5)), millis(h.quantile(0.95)), millis(h.quantile(0.99)), millis(h.max)}
}

func (s summary) String() string {
	if s.Count == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %.2f  p95 %.2f  p99 %.2f  max %.1f ms", s.P50, s.P95, s.P99, s.Max)
}

// millis has microsecond grain: finer digits would be noise.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

type histogramJSON struct {
	Counts map[int]int64 `json:"counts"`
	N      int64         `json:"n"`
	Max    time.Duration `json:"max"`
}

// MarshalJSON and UnmarshalJSON carry a histogram from one process to another.
func (h *histogram) MarshalJSON() ([]byte, error) {
	return json.Marshal(histogramJSON{h.counts, h.n, h.max})
}

func (h *histogram) UnmarshalJSON(b []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	h.counts, h.n, h.max = j.Counts, j.N, j.Max
	if h.counts == nil {
		h.counts = map[int]int64{}
	}
	return nil
}
