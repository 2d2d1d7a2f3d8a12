package match

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// number is a decimal number of any size, as written: ±0.d₁d₂d₃… × 10^point, where the digits are
// those of whole and then those of frac, without zeros at either end. Its methods cost the length
// of the text, never the size of the exponent: 1e999999999 is as cheap as 1.
type number struct {
	negative    bool
	whole, frac string
	point       int64
}

// maxExponent is where exponents stop counting; nobody means more, and sums stay within an int64.
const maxExponent = 1 << 40

// parseNumber reads the decimal literals of JSON, and with leading plus signs, zeros and bare
// points those that people write in strings.
func parseNumber(text string) (n number, ok bool) {
	if text != "" && (text[0] == '-' || text[0] == '+') {
		n.negative = text[0] == '-'
		text = text[1:]
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if n.point, ok = parseExponent(text[i+1:]); !ok {
			return number{}, false
		}
		text = text[:i]
	}
	n.whole, n.frac, _ = strings.Cut(text, ".")
	if n.whole+n.frac == "" || !allDigits(n.whole) || !allDigits(n.frac) {
		return number{}, false
	}
	n.whole = strings.TrimLeft(n.whole, "0")
	n.point += int64(len(n.whole))
	if n.whole == "" {
		significant := strings.TrimLeft(n.frac, "0")
		n.point -= int64(len(n.frac) - len(significant))
		n.frac = significant
	}
	n.frac = strings.TrimRight(n.frac, "0")
	if n.frac == "" {
		n.whole = strings.TrimRight(n.whole, "0")
	}
	if n.zero() {
		return number{}, true
	}
	return n, true
}

func parseExponent(text string) (int64, bool) {
	digits := strings.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 || digits == "" || !allDigits(digits) {
		return 0, false
	}
	// An out of range exponent comes back as the largest or smallest int64.
	e, _ := strconv.ParseInt(text, 10, 64)
	return min(max(e, -maxExponent), maxExponent), true
}

func allDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

func (n number) zero() bool { return n.whole == "" && n.frac == "" }

func (n number) digits() int { return len(n.whole) + len(n.frac) }

func (n number) digit(i int) byte {
	if i < len(n.whole) {
		return n.whole[i]
	}
	return n.frac[i-len(n.whole)]
}

// compare orders numbers by value.
func (n number) compare(o number) int {
	if n.negative != o.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	magnitude := n.compareMagnitude(o)
	if n.negative {
		return -magnitude
	}
	return magnitude
}

func (n number) compareMagnitude(o number) int {
	switch {
	case n.zero() || o.zero():
		return cmp.Compare(n.digits(), o.digits())
	case n.point != o.point:
		return cmp.Compare(n.point, o.point)
	}
	for i := range min(n.digits(), o.digits()) {
		if c := cmp.Compare(n.digit(i), o.digit(i)); c != 0 {
			return c
		}
	}
	return cmp.Compare(n.digits(), o.digits())
}

// asNumber converts a scalar as JavaScript's == and < do: text by its number (empty text is 0),
// true is 1, false is 0. Text that is no decimal number, null, lists and objects are none.
func asNumber(v any) (number, bool) {
	switch v := v.(type) {
	case json.Number:
		return parseNumber(string(v))
	case string:
		text := strings.TrimSpace(v)
		if text == "" {
			return number{}, true
		}
		return parseNumber(text)
	case bool:
		if v {
			return number{whole: "1", point: 1}, true
		}
		return number{}, true
	}
	return number{}, false
}
