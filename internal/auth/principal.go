package auth

import "github.com/harkhq/hark"

// Principal is who a bearer token proved to be, and what it may reach. It is immutable.
type Principal struct {
	EnvironmentID hark.EnvironmentID
	Scope         hark.Scope
	// ApplicationID restricts it to one application; "" is the whole environment.
	ApplicationID hark.ApplicationID
	// Portal marks an application token: somebody's customer, who may do only what Capabilities say.
	Portal       bool
	Capabilities Capabilities
	Flags        []string   // feature flags of an application token
	KeyID        hark.KeyID // "" for tokens
	Actor        string     // for logs: a key's name or a token's subject
}

// Capabilities are what an application token may do.
type Capabilities uint8

// The capabilities. Everything else in the portal needs ViewBase.
const (
	ViewBase             Capabilities = 1 << iota // read; no secrets
	ViewEndpointSecret                            // read signing secrets
	ManageEndpointSecret                          // read and rotate signing secrets
	CreateAttempts                                // resend and replay
	ManageEndpoint                                // everything about endpoints, secrets included
	ManageTransformations

	AllCapabilities = ViewBase | ViewEndpointSecret | ManageEndpointSecret | CreateAttempts | ManageEndpoint | ManageTransformations
)

// capabilityNames are the wire's names, by bit.
var capabilityNames = [...]string{
	"ViewBase", "ViewEndpointSecret", "ManageEndpointSecret", "CreateAttempts", "ManageEndpoint", "ManageTransformations",
}

// Names lists the capabilities by the wire's names.
func (c Capabilities) Names() []string {
	names := []string{}
	for i, name := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// ParseCapability reads one wire name.
func ParseCapability(name string) (c Capabilities, ok bool) {
	for i, known := range capabilityNames {
		if name == known {
			return 1 << i, true
		}
	}
	return 0, false
}
