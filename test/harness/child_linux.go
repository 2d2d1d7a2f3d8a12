package harness

import "syscall"

// childAttr makes the kernel kill the server when this process dies, however it dies.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
