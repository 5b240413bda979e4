// Command meshlab-clang is clang for Cilium's agents in a lab. It keeps the objects that it makes, and gives them to an agent that compiles the
// same again.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/compiler"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cache := compiler.Cache{Clang: os.Getenv(compiler.ClangVariable), Dir: os.Getenv(compiler.DirVariable)}
	if cache.Clang == "" || cache.Dir == "" {
		fmt.Fprintf(os.Stderr, "error: %s and %s are not set; the lab starts this program by itself\n", compiler.ClangVariable, compiler.DirVariable)
		return 2
	}
	code, err := cache.Compile(ctx, args, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return code
}
