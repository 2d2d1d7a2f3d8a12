package api

import (
	"net/http"
	"reflect"

	"github.com/harkhq/hark/internal/manage"
)

// operation is one row of the table that the API is made from: it registers the route, says who
// may call it before its body is read, and documents it.
type operation struct {
	method  string
	root    string // where the path begins; "" is prefix
	path    string // below root, with the wildcards of http.ServeMux
	id      string // as the clients' generators know it
	tag     string
	summary string
	doc     string
	access  access // for the documents; may decides
	may     string // the operation's name in manage's permission table
	query   []param
	status  []int // of success; the first is the usual one
	handler

	optionalBody bool  // the body may be empty
	bodyLimit    int64 // 0 means maxBody
	lean         bool  // sees to repeated requests itself, or has no effect that could be repeated
	stream       bool  // stays connected; browsers may give their token in the query
	hidden       bool  // served, not documented
	makesApp     bool  // the application or source in the path may be new

	permission manage.Permission // that may names
}

// prefix is where operations' paths begin, but for those that clients look for elsewhere.
const prefix = "/api/v1"

// fullPath is the operation's path from the beginning.
func (op *operation) fullPath() string {
	if op.root != "" {
		return op.root + op.path
	}
	return prefix + op.path
}

// access says who may call an operation at all.
type access int8

const (
	everyone access = iota // no key at all
	customer               // any key, and application tokens for their application
	operator               // keys and tokens of the environment; never an application token
)

// param is a query parameter, for the documents.
type param struct {
	name string
	kind reflect.Type
	doc  string
}

// handler is what an operation does, with the types of its bodies.
type handler struct {
	in, out reflect.Type // none: no body
	serve   func(*call) error
}

// none is the body that is not there.
type none struct{}

// octets are a body that is not JSON.
type octets []byte

var (
	typeNone   = reflect.TypeFor[none]()
	typeOctets = reflect.TypeFor[octets]()
)

// does makes a handler of a function from the request's body to the answer's.
func does[In, Out any](f func(c *call, in In) (Out, error)) handler {
	h := handler{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	h.serve = func(c *call) error {
		var in In
		if h.in != typeNone {
			text, err := c.body()
			if err != nil {
				return err
			}
			if len(text) > 0 || !c.op.optionalBody {
				if err := decodeJSON(text, &in); err != nil {
					return err
				}
			}
		}
		out, err := f(c, in)
		if err != nil {
			return err
		}
		if h.out != typeNone {
			c.encode(out)
		}
		return nil
	}
	return h
}

// raw makes a handler of a function that reads and writes the bodies itself; In and Out are for
// the documents.
func raw[In, Out any](f func(c *call) error) handler {
	return handler{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), serve: f}
}

// created sets the status of operations that may find what they were to make: 201, or 200.
func (c *call) created(created bool) {
	c.status = http.StatusOK
	if created {
		c.status = http.StatusCreated
	}
}
