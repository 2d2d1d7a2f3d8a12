// Package auth finds out who a bearer token belongs to: API keys, and JSON Web Tokens as Svix's
// server signs them.
package auth
