//go:build race

package transform

// ownMemory is more here, since the race detector keeps accounts of every byte.
const ownMemory uint64 = 8 << 30
