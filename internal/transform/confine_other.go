//go:build !unix

package transform

import "os/exec"

// separate and confine do nothing where there is nothing to be done.
func separate(*exec.Cmd) {}

func confine(int64) {}
