package manage

import (
	"bytes"
	"encoding/json"
)

// Opt is a field that a request may leave out, set to null, or give. The zero Opt is left out.
type Opt[T any] struct {
	Set   bool // the field was there, be it as null
	Null  bool // it was null; then Value is the zero T
	Value T
}

// Some is a field that was given.
func Some[T any](value T) Opt[T] { return Opt[T]{Set: true, Value: value} }

// Given says that there is a value.
func (o Opt[T]) Given() bool { return o.Set && !o.Null }

// UnmarshalJSON is only called for a field that is there.
func (o *Opt[T]) UnmarshalJSON(data []byte) error {
	*o = Opt[T]{Set: true}
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		o.Null = true
		return nil
	}
	return json.Unmarshal(data, &o.Value)
}

// MarshalJSON writes the value, or null. Together with `omitzero` a field left out stays out.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.Given() {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}
