// Command language checks the text of this repository against a fixed list of expressions that are not plain English. It reads
// every text file below the current directory, or below its argument. `make lint` runs it.
package main

import (
	"fmt"
	"os"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	found, err := check(os.DirFS(root))
	for _, f := range found {
		_, _ = fmt.Fprintln(os.Stdout, f)
	}
	switch {
	case err != nil:
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(2)
	case len(found) > 0:
		_, _ = fmt.Fprintf(os.Stderr, "error: %d expressions to replace; test/cmd/language/exempt.go lists what is exempt\n", len(found))
		os.Exit(1)
	}
}
