package alter

import (
	"context"
	"errors"
	"sync"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/transform"
)

// Bounds of what is kept compiled. Bytecode is a few times as long as its source.
const (
	mostScripts     = 1024
	mostScriptBytes = 8 << 20 // of source
)

// scripts are those that were compiled, by the key of their transformation.
type scripts struct {
	mu    sync.Mutex
	known map[[32]byte]*compiled
	bytes int
}

// compiled is a script, or what is wrong with it.
type compiled struct {
	script *transform.Script
	err    error
	bytes  int
}

// find answers a transformation's script. Two that ask at once may both compile it: that is only work.
func (s *scripts) find(ctx context.Context, engine *transform.Engine, key [32]byte, t *hark.Transformation) (*transform.Script, error) {
	s.mu.Lock()
	c := s.known[key]
	s.mu.Unlock()
	if c != nil {
		return c.script, c.err
	}
	script, err := engine.Compile(ctx, t.Code, t.Variables)
	if wrong, ok := errors.AsType[*transform.Error](err); err == nil || ok && (wrong.Kind == transform.Invalid || wrong.Kind == transform.Threw) {
		s.keep(key, &compiled{script, err, len(t.Code)})
	}
	return script, err
}

func (s *scripts) keep(key [32]byte, c *compiled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[key] != nil {
		return
	}
	for other, old := range s.known { // any other makes room: map order is arbitrary enough
		if len(s.known) < mostScripts && s.bytes+c.bytes <= mostScriptBytes {
			break
		}
		delete(s.known, other)
		s.bytes -= old.bytes
	}
	s.known[key] = c
	s.bytes += c.bytes
}
