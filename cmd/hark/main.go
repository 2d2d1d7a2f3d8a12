// Command hark sends webhooks: a server and the tools around it, in one binary.
package main

import (
	"os"

	"github.com/harkhq/hark/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
