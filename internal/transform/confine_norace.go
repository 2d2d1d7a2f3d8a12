//go:build !race

package transform

// ownMemory is what a worker needs beside its script's memory: the program, and Go's stacks in a deep recursion.
const ownMemory uint64 = 128 << 20
