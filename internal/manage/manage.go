// Package manage holds the operations that every face offers: it decides who may do what, checks
// what is asked, and drives the store and the engines.
//
// Every operation is a method of Manager that takes the Caller. It promises that all faces behave
// alike, that an answer about somebody else's things is the answer about things that do not exist,
// and that several wrong fields are reported at once. Wrong input is a *hark.Error with the wire's
// field names. It refuses to know any wire format: faces decode, call, encode.
package manage

import (
	"log/slog"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Engine is what manage tells the delivery engine.
type Engine interface {
	// EndpointChanged says that an endpoint, or whether it is held, is not what it was.
	EndpointChanged(ref hark.Ref)
}

// Options of a Manager.
type Options struct {
	Store  store.Store
	Engine Engine
	Logger *slog.Logger
	// MaxPayload is the most bytes of a message's payload; 0 means DefaultMaxPayload.
	MaxPayload int
	// HTTPSOnly refuses endpoints with http:// URLs.
	HTTPSOnly bool
	// PortalURL is where the customers' portal is served; "" means that there is none.
	PortalURL string
}

// DefaultMaxPayload is the most bytes of one message's payload.
const DefaultMaxPayload = 1 << 20

// Manager offers the operations. It is safe for concurrent use.
type Manager struct {
	store store.Store
}

// New makes a Manager.
func New(opt Options) *Manager { return &Manager{store: opt.Store} }
