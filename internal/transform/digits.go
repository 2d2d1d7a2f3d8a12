package transform

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// JavaScript has one kind of number, a double, so an id like 12345678901234567890 comes out of a script
// with other digits than it went in, although the script never looked at it. keepDigits gives such numbers
// their digits back, wherever in the payload they ended up.

// keepDigits is payload with the digits of original. It fails when it cannot know which number is meant.
func keepDigits(original, payload []byte) ([]byte, error) {
	rounded, err := roundedNumbers(original)
	if err != nil || len(rounded) == 0 || !json.Valid(payload) {
		return payload, err
	}
	var out []byte
	copied := 0
	err = eachNumber(payload, func(at int, literal, path string) error {
		known, found := rounded[decimalOf(literal)]
		if !found {
			return nil
		}
		exact := known.literal
		if known.several {
			if exact, found = known.at[path]; !found {
				return errorf(BadResult, "The payload has several numbers that are the same in JavaScript, %s among them, and the script "+
					"moved one of them to %s. Numbers with more than 15 digits should be strings.", known.literal, path)
			}
		}
		out = append(append(out, payload[copied:at]...), exact...)
		copied = at + len(literal)
		return nil
	})
	if err != nil || out == nil {
		return payload, err
	}
	return append(out, payload[copied:]...), nil
}

// known is what stands in the original for one double.
type known struct {
	literal string
	several bool // and other numbers too
	at      map[string]string
}

// roundedNumbers finds the doubles that stand for a number which JavaScript cannot hold: by how they look
// when it writes them.
func roundedNumbers(original []byte) (map[decimal]*known, error) {
	if !json.Valid(original) || !mayRound(original) {
		return nil, nil
	}
	all := map[decimal]*known{}
	lossy := map[decimal]bool{}
	err := eachNumber(original, func(_ int, literal, path string) error {
		f, _ := strconv.ParseFloat(literal, 64) // out of range: infinite, which is what JavaScript makes of it
		if math.IsInf(f, 0) {
			return errorf(BadResult, "The payload has a number that is too large for JavaScript, %.40s, so a script cannot change it.", literal)
		}
		written := decimalOf(strconv.FormatFloat(f, 'e', -1, 64))
		exact := decimalOf(literal)
		if all[written] == nil {
			all[written] = &known{literal: literal, at: map[string]string{}}
		}
		k := all[written]
		k.several = k.several || decimalOf(k.literal) != exact
		k.at[path] = literal
		if exact != written {
			lossy[written] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for d := range all {
		if !lossy[d] {
			delete(all, d)
		}
	}
	return all, nil
}

// mayRound says whether any number could have more digits than a double, or be beyond its range. It is
// quick, and wrong only by saying yes.
func mayRound(payload []byte) bool {
	digits, inString, escaped := 0, false, false
	for _, b := range payload {
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = b == '\\', b != '"'
		case b == '"':
			inString = true
		case b >= '0' && b <= '9':
			if digits++; digits > 15 {
				return true
			}
		case b == 'e' && digits > 0 || b == 'E':
			return true
		case b != '.':
			digits = 0
		}
	}
	return false
}

// decimal is a number as its digits, without zeros at either end, and the power of ten behind them.
type decimal struct {
	digits   string
	exponent int
	negative bool
}

// decimalOf reads a JSON number.
func decimalOf(literal string) decimal {
	var d decimal
	literal, d.negative = strings.CutPrefix(literal, "-")
	mantissa, exponent, found := strings.Cut(strings.ToLower(literal), "e")
	if found {
		d.exponent, _ = strconv.Atoi(exponent) // one that is too large is as good as any other that is
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	d.digits = strings.TrimRight(digits, "0")
	d.exponent += len(digits) - len(d.digits)
	if d.digits == "" {
		return decimal{} // zero has no sign: JavaScript does not write it
	}
	return d
}

// eachNumber calls f for every number in a JSON text: where it begins, and by which path it is reached.
func eachNumber(text []byte, f func(at int, literal, path string) error) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var w walk
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil // the text was valid, so this is its end
		}
		path, isValue := w.next(token)
		if number, ok := token.(json.Number); ok && isValue {
			literal := number.String()
			at := int(decoder.InputOffset()) - len(literal)
			if err := f(at, literal, path); err != nil {
				return err
			}
		}
	}
}

// walk knows where in a JSON text it is.
type walk struct {
	levels []level
}

type level struct {
	object bool
	key    string // of the value that comes next, in an object
	index  int    // how many values came, in an array
	named  bool   // the key has been read
}

// next takes a token. It gives the path of the value that the token is or begins.
func (w *walk) next(token json.Token) (path string, isValue bool) {
	if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
		w.levels = w.levels[:len(w.levels)-1]
		return "", false
	}
	if n := len(w.levels); n > 0 {
		top := &w.levels[n-1]
		switch {
		case top.object && !top.named:
			top.key, top.named = token.(string), true
			return "", false
		case top.object:
			top.named = false
		default:
			top.key = strconv.Itoa(top.index)
			top.index++
		}
	}
	if delim, ok := token.(json.Delim); ok {
		w.levels = append(w.levels, level{object: delim == '{'})
		return "", true
	}
	if _, ok := token.(json.Number); !ok {
		return "", true
	}
	var b strings.Builder
	for _, l := range w.levels {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(l.key))
	}
	return b.String(), true
}
