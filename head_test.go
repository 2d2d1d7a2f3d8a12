package hark

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

func TestHead_ComesBackAsItWentIn(t *testing.T) {
	h := Head{SourceID: "src_1", RequestID: "req_1", Method: "PUT", Path: "/a%2Fb", Query: "x=1&x=2", Remote: "192.0.2.1", Credentials: true}
	h.SetHeader(http.Header{"X-B": {"2", "1", "2"}, "Content-Type": {"text/plain"}, "X-A": {""}})
	got, err := DecodeHead(h.Encode())
	if err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, h)
	}
	if got.Get("X-B") != "2" || !reflect.DeepEqual(got.HTTPHeader()["X-B"], []string{"2", "1", "2"}) {
		t.Errorf("values of a name: %v", got.HTTPHeader())
	}
}

func FuzzDecodeHead(f *testing.F) {
	h := Head{Method: "POST", Header: []HeadField{{"A", "b"}}}
	f.Add(h.Encode())
	f.Add([]byte{headVersion, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, encoded []byte) {
		h, err := DecodeHead(encoded)
		if err != nil {
			return
		}
		again, err := DecodeHead(h.Encode())
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

func TestHeadField_ComesBackFromItsPair(t *testing.T) {
	for _, f := range []HeadField{{Name: "X-Text", Value: "crème"}, {Name: "X-Bytes", Value: "\xff\x00"}, {Name: "X-Empty"}} {
		text, err := json.Marshal(f.Pair())
		if err != nil {
			t.Fatal(err)
		}
		var pair []string
		if err := json.Unmarshal(text, &pair); err != nil {
			t.Fatal(err)
		}
		if got, ok := FieldOf(pair); !ok || got != f {
			t.Errorf("%q came back as %q, %v", f, got, ok)
		}
	}
	for _, pair := range [][]string{nil, {"X"}, {"X", "YQ==", "hex"}, {"X", "no base64!", "base64"}, {"X", "1", "base64", "more"}} {
		if f, ok := FieldOf(pair); ok {
			t.Errorf("%q was read as %q", pair, f)
		}
	}
}
