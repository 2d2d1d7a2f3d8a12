//go:build !linux

package main

func onMemory(string) bool { return false }
