package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHistogram_QuantilesAreWithinTwoPercent(t *testing.T) {
	h := newHistogram()
	var all []time.Duration
	for range 20000 {
		d := time.Duration(math.Exp(rand.Float64()*20) * 10)
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		want := all[int(math.Ceil(q*float64(len(all))))-1]
		if got := h.quantile(q); float64(got) < float64(want) || float64(got) > float64(want)*1.02 {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
}

func TestHistogram_BucketsFollowOneAnother(t *testing.T) {
	for b := 1; b < 3000; b++ {
		if top := bucketTop(b); top <= bucketTop(b-1) || bucketOf(top) != b || bucketOf(top+1) != b+1 {
			t.Fatalf("bucket %d ends at %d, which is in bucket %d", b, top, bucketOf(top))
		}
	}
}

func TestHistogram_SurvivesTheWayToAnotherProcess(t *testing.T) {
	h := newHistogram()
	h.add(time.Millisecond)
	h.add(time.Second)
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var got histogram
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	sum := newHistogram()
	sum.merge(&got)
	sum.merge(h)
	if sum.n != 4 || sum.max != time.Second || sum.quantile(0.5) != h.quantile(0.5) {
		t.Errorf("got %+v", sum)
	}
}

func TestShape_NumbersEveryMessage(t *testing.T) {
	l := load{Paths: []string{"/a", "/b"}, Headers: []string{"Idempotency-Key: k-{{seq}}"}, Addrs: []string{"h"},
		Item: `{"seq":{{seq}},"sentAt":{{now}},"pad":"{{pad}}"}`, Envelope: `{"messages":[{{items}}]}`, Batch: 3, Size: 100}
	s, err := newShape(l)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1700000000, 123)
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(s.render(1, 7, now))))
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Messages []struct {
			Seq    int64
			SentAt int64
		}
	}
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	for i, m := range body.Messages {
		if m.Seq != firstSeq+7+int64(i) || m.SentAt != now.UnixNano() {
			t.Errorf("message %d is %+v", i, m)
		}
	}
	if len(body.Messages) != 3 || req.URL.Path != "/b" || req.Header.Get("Idempotency-Key") != fmt.Sprintf("k-%d", firstSeq+7) {
		t.Errorf("%d messages to %s under %v", len(body.Messages), req.URL.Path, req.Header)
	}
	if item := (len(s.body.text) - len(`{"messages":[,,]}`)) / 3; item != 100 {
		t.Errorf("a message has %d bytes, want 100", item)
	}
}

func TestShape_HarkItemHasAKibibyteOfPayload(t *testing.T) {
	s, err := newShape(load{Addrs: []string{"h"}, Paths: []string{"/"}, Item: harkItem, Size: harkItemSize, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Payload json.RawMessage }
	if err := json.Unmarshal(s.render(0, 0, time.Now())[len(s.heads[0].text):], &m); err != nil || len(m.Payload) != harkPayloadSize {
		t.Errorf("payload of %d bytes, %v", len(m.Payload), err)
	}
}

// The generator drives the sink itself here: what one sends, the other counts.
func TestGenerate_EveryMessageArrivesOnce(t *testing.T) {
	s := &sink{paths: map[string]*sinkPath{}, classes: map[string]*sinkClass{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { _ = s.listen(l, nil) }() // ends with the listener
	res, err := generate(load{Addrs: []string{l.Addr().String()}, Paths: []string{"/ok/1", "/ok/2"}, Item: harkItem, Size: harkItemSize, Batch: 1, Conns: 4, Count: 1000})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.classes["ok"]; res.Accepted != 1000 || got.Unique != 1000 || got.Requests != 1000 || got.Arrival.n != 1000 {
		t.Errorf("sent %+v, counted %+v", res, got)
	}
}

func TestSink_TellsRepeatsFromFirstArrivals(t *testing.T) {
	s := &sink{paths: map[string]*sinkPath{}, classes: map[string]*sinkClass{}}
	for _, seq := range []int64{0, 1, 200, 1, 0} {
		s.take([]byte("/ok/1"), fmt.Appendf(nil, `{"seq":%d}`, firstSeq+seq))
	}
	s.take([]byte("/ok/2"), fmt.Appendf(nil, `{"seq":%d}`, firstSeq))
	if got := s.classes["ok"]; got.Requests != 6 || got.Unique != 4 {
		t.Errorf("%d requests, %d of them first arrivals; want 6 and 4", got.Requests, got.Unique)
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: -1\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		r := bufio.NewReader(strings.NewReader(text))
		_, length, _, err := readHead(r, nil)
		if err != nil || length > len(text) {
			return
		}
		body, err := readBody(r, length, nil)
		if err == nil && len(body) > len(text) {
			t.Errorf("%d bytes of body in %d bytes", len(body), len(text))
		}
	})
}
