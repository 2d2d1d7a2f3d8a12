package auth

import "github.com/harkhq/hark"

// Principal is who a bearer token proved to be, and what it may reach. It is immutable; its Flags
// must not be changed.
type Principal struct {
	EnvironmentID hark.EnvironmentID
	Scope         hark.Scope
	// ApplicationID restricts it to one application; "" is the whole environment.
	ApplicationID hark.ApplicationID
	// Portal marks an application token: somebody's customer.
	Portal bool
	Flags  []string   // feature flags of an application token
	KeyID  hark.KeyID // "" for tokens
	Actor  string     // for logs: a key's name or a token's subject
}
