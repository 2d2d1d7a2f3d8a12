package manage

import (
	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
)

// Caller says who asks. Faces make it from what authentication found and pass it to every
// operation; operations decide by it and by nothing else.
type Caller struct {
	EnvironmentID hark.EnvironmentID
	Scope         hark.Scope
	// ApplicationID restricts the caller to one application; "" is the whole environment.
	ApplicationID hark.ApplicationID
	// Portal marks an application token: a customer in the portal, who may do only what the
	// permission table allows customers with these Capabilities.
	Portal       bool
	Capabilities auth.Capabilities
	// Flags are the feature flags of an application token.
	Flags []string
	KeyID hark.KeyID // "" for tokens
	Actor string     // for the audit log: a key's name or a token's subject
}

// CallerOf makes the Caller that a principal is.
func CallerOf(p *auth.Principal) Caller {
	return Caller{
		EnvironmentID: p.EnvironmentID,
		Scope:         p.Scope,
		ApplicationID: p.ApplicationID,
		Portal:        p.Portal,
		Capabilities:  p.Capabilities,
		Flags:         p.Flags,
		KeyID:         p.KeyID,
		Actor:         p.Actor,
	}
}
