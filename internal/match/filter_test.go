package match

import "testing"

var filterCases = []struct {
	filter, payload string
	want            bool
}{
	// Objects match in part.
	{`{}`, `{"a":1}`, true},
	{`{}`, `[]`, true},
	{`{"a":1}`, `{"a":1,"b":2}`, true},
	{`{"a":1,"b":2}`, `{"a":1}`, false},
	{`{"a":{"b":{"c":"x"}}}`, `{"a":{"b":{"c":"x","d":1}}}`, true},
	{`{"a":{"b":1}}`, `{"a":5}`, false},
	{`{"a":{"b":1}}`, `{"a":null}`, false},
	{`{"a":{}}`, `{"a":5}`, true},
	{`{"a":{}}`, `{"b":5}`, false},
	{`{"a":1}`, `5`, false},
	{`{"a":1}`, `not JSON`, false},
	{`{"a":1}`, ``, false},
	{`{"a":1}`, `{"a":2,"a":1}`, true},

	// Scalars are loosely equal, as in JavaScript.
	{`{"a":"x"}`, `{"a":"x"}`, true},
	{`{"a":"x"}`, `{"a":"X"}`, false},
	{`{"a":5}`, `{"a":"5"}`, true},
	{`{"a":"5"}`, `{"a":5}`, true},
	{`{"a":"5"}`, `{"a":"5.0"}`, false},
	{`{"a":5}`, `{"a":" 5.0 "}`, true},
	{`{"a":5}`, `{"a":5.0}`, true},
	{`{"a":1}`, `{"a":true}`, true},
	{`{"a":true}`, `{"a":"1"}`, true},
	{`{"a":true}`, `{"a":"true"}`, false},
	{`{"a":false}`, `{"a":0}`, true},
	{`{"a":false}`, `{"a":""}`, true},
	{`{"a":false}`, `{"a":null}`, false},
	{`{"a":0}`, `{"a":null}`, false},
	{`{"a":null}`, `{"a":null}`, true},
	{`{"a":null}`, `{}`, false},
	{`{"a":null}`, `{"a":"null"}`, false},
	{`{"a":""}`, `{}`, false},
	{`{"a":5}`, `{"a":{"b":5}}`, false},
	{`{"a":"é"}`, `{"a":"\u00e9"}`, true},

	// Numbers are exact.
	{`{"a":9007199254740993}`, `{"a":9007199254740993}`, true},
	{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
	{`{"a":9007199254740993}`, `{"a":"9007199254740993"}`, true},
	{`{"a":{"$gt":9007199254740992}}`, `{"a":9007199254740993}`, true},
	{`{"a":1e2}`, `{"a":100}`, true},
	{`{"a":100}`, `{"a":0.1E+3}`, true},
	{`{"a":0}`, `{"a":-0.0e9}`, true},
	{`{"a":1e999999999999999999999}`, `{"a":1}`, false},
	{`{"a":{"$lt":1e999999999999999999999}}`, `{"a":1e308}`, true},
	{`{"a":{"$gt":1e-999999999999999999999}}`, `{"a":0}`, false},
	{`{"a":{"$gt":-1e400}}`, `{"a":-1e399}`, true},
	{`{"a":123456789012345678901234567890.5}`, `{"a":123456789012345678901234567890.50}`, true},
	{`{"a":0.1}`, `{"a":0.10000000000000001}`, false},

	// Lists contain.
	{`{"a":"x"}`, `{"a":["y","x"]}`, true},
	{`{"a":"x"}`, `{"a":["y"]}`, false},
	{`{"a":"x"}`, `{"a":[]}`, false},
	{`{"a":"x"}`, `{"a":[["x"]]}`, true},
	{`{"a":["x","z"]}`, `{"a":["z","y","x"]}`, true},
	{`{"a":["x","z"]}`, `{"a":["x"]}`, false},
	{`{"a":[]}`, `{"a":[]}`, true},
	{`{"a":[]}`, `{"a":5}`, false},
	{`{"a":["x"]}`, `{"a":"x"}`, false},
	{`{"a":{"id":2}}`, `{"a":[{"id":1},{"id":2}]}`, true},
	{`{"a":{"id":1,"n":2}}`, `{"a":[{"id":1,"n":1},{"id":2,"n":2}]}`, false},
	{`{"a":[{"id":1},{"id":2}]}`, `{"a":[{"id":2},{"id":1}]}`, true},
	{`{"a":[{"id":{"$gt":5}}]}`, `{"a":[{"id":1},{"id":6}]}`, true},
	{`{"id":2}`, `[{"id":1},{"id":2}]`, true},
	{`{"a":{"b":{"c":3}}}`, `{"a":[{"b":[{"c":1}]},{"b":[{"c":3}]}]}`, true},

	// $eq and $neq take values as a whole.
	{`{"a":{"$eq":5}}`, `{"a":"5"}`, true},
	{`{"a":{"$eq":5}}`, `{"a":[5]}`, false},
	{`{"a":{"$eq":[1,2]}}`, `{"a":[1,2]}`, true},
	{`{"a":{"$eq":[1,2]}}`, `{"a":[2,1]}`, false},
	{`{"a":{"$eq":{"x":1}}}`, `{"a":{"x":1}}`, true},
	{`{"a":{"$eq":{"x":1}}}`, `{"a":{"x":1,"y":2}}`, false},
	{`{"a":{"$eq":{"x":1}}}`, `{"a":{"y":1}}`, false},
	{`{"a":{"$eq":{"$x":1}}}`, `{"a":{"$x":1}}`, true},
	{`{"a":{"$eq":null}}`, `{"a":null}`, true},
	{`{"a":{"$eq":null}}`, `{}`, false},
	{`{"a":{"$neq":5}}`, `{"a":6}`, true},
	{`{"a":{"$neq":5}}`, `{"a":"5"}`, false},
	{`{"a":{"$neq":5}}`, `{}`, false},
	{`{"a":{"$neq":5}}`, `{"a":null}`, true},
	{`{"a":{"$neq":[1]}}`, `{"a":{"x":1}}`, true},

	// Order is for numbers and for text.
	{`{"a":{"$gt":5}}`, `{"a":6}`, true},
	{`{"a":{"$gt":5}}`, `{"a":5}`, false},
	{`{"a":{"$gte":5}}`, `{"a":5.0}`, true},
	{`{"a":{"$lt":5}}`, `{"a":-6}`, true},
	{`{"a":{"$lte":5}}`, `{"a":5.0001}`, false},
	{`{"a":{"$gte":1,"$lt":10}}`, `{"a":9.99}`, true},
	{`{"a":{"$gte":1,"$lt":10}}`, `{"a":10}`, false},
	{`{"a":{"$gt":"2026-01-01"}}`, `{"a":"2026-11-23T10:00:00Z"}`, true},
	{`{"a":{"$gt":"10"}}`, `{"a":"9"}`, true},
	{`{"a":{"$gt":10}}`, `{"a":"9"}`, false},
	{`{"a":{"$gt":"10"}}`, `{"a":11}`, true},
	{`{"a":{"$gt":5}}`, `{"a":"many"}`, false},
	{`{"a":{"$lt":5}}`, `{"a":"many"}`, false},
	{`{"a":{"$lt":5}}`, `{"a":null}`, false},
	{`{"a":{"$lt":5}}`, `{"a":true}`, false},
	{`{"a":{"$lt":5}}`, `{"a":[1]}`, false},
	{`{"a":{"$lt":5}}`, `{"a":{}}`, false},
	{`{"a":{"$lt":5}}`, `{}`, false},

	// $in and $nin.
	{`{"a":{"$in":["x","y"]}}`, `{"a":"y"}`, true},
	{`{"a":{"$in":["x","y"]}}`, `{"a":"z"}`, false},
	{`{"a":{"$in":[1,2]}}`, `{"a":"2"}`, true},
	{`{"a":{"$in":[null]}}`, `{"a":null}`, true},
	{`{"a":{"$in":[]}}`, `{"a":1}`, false},
	{`{"a":{"$in":"ell"}}`, `{"a":"hello"}`, true},
	{`{"a":{"$in":"elf"}}`, `{"a":"hello"}`, false},
	{`{"a":{"$in":"x"}}`, `{"a":["x","y"]}`, true},
	{`{"a":{"$in":3}}`, `{"a":[1,2]}`, false},
	{`{"a":{"$in":["q","y"]}}`, `{"a":["x","y"]}`, true},
	{`{"a":{"$in":[{"k":1}]}}`, `{"a":{"k":1}}`, true},
	{`{"a":{"$in":5}}`, `{"a":5}`, false},
	{`{"a":{"$in":["x"]}}`, `{}`, false},
	{`{"a":{"$nin":["x","y"]}}`, `{"a":"z"}`, true},
	{`{"a":{"$nin":["x","y"]}}`, `{"a":"x"}`, false},
	{`{"a":{"$nin":"ell"}}`, `{"a":"hello"}`, false},
	{`{"a":{"$nin":"x"}}`, `{"a":["y"]}`, true},
	{`{"a":{"$nin":"x"}}`, `{"a":5}`, false},
	{`{"a":{"$nin":["x"]}}`, `{}`, false},

	// Text.
	{`{"a":{"$startsWith":"in_"}}`, `{"a":"in_1"}`, true},
	{`{"a":{"$startsWith":["ch_","in_"]}}`, `{"a":"in_1"}`, true},
	{`{"a":{"$startsWith":["ch_"]}}`, `{"a":"in_1"}`, false},
	{`{"a":{"$startsWith":[]}}`, `{"a":"in_1"}`, false},
	{`{"a":{"$startsWith":"5"}}`, `{"a":55}`, false},
	{`{"a":{"$endsWith":".pdf"}}`, `{"a":"x.pdf"}`, true},
	{`{"a":{"$endsWith":[".png",".gif"]}}`, `{"a":"x.pdf"}`, false},
	{`{"a":{"$startsWith":"a","$endsWith":"z"}}`, `{"a":"abz"}`, true},
	{`{"a":{"$endsWith":"x"}}`, `{"a":["x"]}`, false},

	// $exist.
	{`{"a":{"$exist":true}}`, `{"a":null}`, true},
	{`{"a":{"$exist":true}}`, `{"a":{}}`, true},
	{`{"a":{"$exist":true}}`, `{}`, false},
	{`{"a":{"$exist":false}}`, `{}`, true},
	{`{"a":{"$exist":false}}`, `{"a":null}`, false},
	{`{"a":{"b":{"$exist":false}}}`, `{}`, true},
	{`{"a":{"b":{"$exist":false}}}`, `{"a":{"c":1}}`, true},
	{`{"a":{"b":{"$exist":false}}}`, `{"a":5}`, false},
	{`{"a":{"$exist":true,"b":1}}`, `{"a":[{"b":1}]}`, true},

	// Logic, at any level.
	{`{"$or":[{"a":1},{"b":2}]}`, `{"b":2}`, true},
	{`{"$or":[{"a":1},{"b":2}]}`, `{"b":3}`, false},
	{`{"a":{"$or":[1,{"$gt":10}]}}`, `{"a":11}`, true},
	{`{"a":{"$or":[1,{"$gt":10}]}}`, `{"a":2}`, false},
	{`{"a":{"$or":[{"$exist":false},5]}}`, `{}`, true},
	{`{"$and":[{"a":1},{"b":2}]}`, `{"a":1,"b":2}`, true},
	{`{"$and":[{"a":1},{"b":2}]}`, `{"a":1}`, false},
	{`{"a":{"$and":["x","y"]}}`, `{"a":["y","x"]}`, true},
	{`{"$not":{"a":1}}`, `{"a":2}`, true},
	{`{"$not":{"a":1}}`, `{"a":1}`, false},
	{`{"$not":{"a":1}}`, `{}`, true},
	{`{"a":{"$not":"x"}}`, `{"a":["y","x"]}`, false},
	{`{"a":{"$not":{"$in":["x"]}}}`, `{}`, true},
	{`{"$not":{"$not":{"a":1}}}`, `{"a":1}`, true},
	{`{"a":1,"$or":[{"b":1},{"c":1}],"$not":{"d":1}}`, `{"a":1,"c":1}`, true},
	{`{"a":1,"$or":[{"b":1},{"c":1}],"$not":{"d":1}}`, `{"a":1,"c":1,"d":1}`, false},

	// References.
	{`{"a":{"$ref":"b"}}`, `{"a":5,"b":"5"}`, true},
	{`{"a":{"$ref":"b"}}`, `{"a":5,"b":6}`, false},
	{`{"a":{"$ref":"b"}}`, `{"a":null}`, false},
	{`{"a":{"$ref":"$.b.c[1]"}}`, `{"a":5,"b":{"c":[4,5]}}`, true},
	{`{"a":{"$ref":"b.c[2]"}}`, `{"a":5,"b":{"c":[4,5]}}`, false},
	{`{"a":{"$ref":"[\"b.c\"].d"}}`, `{"a":5,"b.c":{"d":5}}`, true},
	{`{"a":{"$ref":"b"}}`, `{"a":["x","y"],"b":["y"]}`, true},
	{`{"a":{"$ref":"b"}}`, `{"a":["x","y"],"b":["z"]}`, false},
	{`{"a":{"$ref":"b"}}`, `{"a":["x","y"],"b":"y"}`, true},
	{`{"a":{"$ref":"b"}}`, `{"a":{"k":1,"l":2},"b":{"k":1}}`, true},
	{`{"a":{"$ref":"b"}}`, `{"a":5,"b":{"k":1}}`, false},
	{`{"a":{"$lte":{"$ref":"b"}}}`, `{"a":0,"b":10}`, true},
	{`{"a":{"$lte":{"$ref":"b"}}}`, `{"a":11,"b":10}`, false},
	{`{"a":{"$gt":{"$ref":"b"}}}`, `{"a":11,"b":[]}`, false},
	{`{"a":{"$in":{"$ref":"b"}}}`, `{"a":2,"b":[1,2]}`, true},
	{`{"a":{"$startsWith":{"$ref":"b"}}}`, `{"a":"xyz","b":["q","x"]}`, true},
	{`{"a":{"$startsWith":{"$ref":"b"}}}`, `{"a":"xyz","b":[1]}`, false},
	{`{"v":{"u":{"$ref":"v[$index].c"}}}`, `{"v":[{"u":1,"c":2},{"u":3,"c":3}]}`, true},
	{`{"v":{"u":{"$ref":"v[$index].c"}}}`, `{"v":[{"u":3,"c":2},{"u":2,"c":3}]}`, false},
	{`{"v":{"w":{"u":{"$ref":"v[$index].w[$index].c"}}}}`, `{"v":[{"w":[]},{"w":[{"u":1,"c":2},{"u":3,"c":3}]}]}`, true},
	{`{"v":{"u":{"$ref":"v[$index].c"}}}`, `{"v":{"u":1,"c":1}}`, false},
}

func TestMatch_Filters(t *testing.T) {
	for _, c := range filterCases {
		m := mustCompile(t, filter(c.filter))
		s := NewSubject("a", nil, []byte(c.payload))
		if got := m.Match(s); got != c.want {
			t.Errorf("%s on %s: matched %v, want %v", c.filter, c.payload, got, c.want)
		}
		v := m.Explain(s)
		if v.Matched != c.want || (v.Detail == "") != c.want {
			t.Errorf("%s on %s: verdict %+v, want matched %v", c.filter, c.payload, v, c.want)
		}
	}
}

func TestNumber_ComparesByValue(t *testing.T) {
	ascending := []string{
		"-1e99999999999999999999", "-1e400", "-12.5", "-12.49", "-1", "-0.001", "0",
		"1e-99999999999", "0.000999", "1e-3", "0.5", "0.50001", "1", "1.5", "9.99", "10", "12300",
		"12300.0001", "9007199254740992", "9007199254740993", "1e400", "1e99999999999",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			x, ok1 := parseNumber(a)
			y, ok2 := parseNumber(b)
			if !ok1 || !ok2 {
				t.Fatalf("%s or %s is not a number", a, b)
			}
			if got, want := x.compare(y), min(max(i-j, -1), 1); got != want {
				t.Errorf("compare %s with %s: %d, want %d", a, b, got, want)
			}
		}
	}
	for _, text := range []string{"", "-", ".", "e5", "1e", "1e+-5", "0x10", "1_000", "NaN", "Infinity", "1 2", "--1", "1.2.3"} {
		if _, ok := parseNumber(text); ok {
			t.Errorf("%q passed for a number", text)
		}
	}
}
