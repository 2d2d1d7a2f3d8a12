// Command hark sends webhooks: a server and the tools around it, in one binary.
package main

import (
	"os"

	"github.com/harkhq/hark/internal/cli"
	"github.com/harkhq/hark/internal/transform"
)

func main() {
	transform.Work() // does not return in a process that was started to run scripts
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
