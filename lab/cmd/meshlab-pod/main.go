// Command meshlab-pod is the small program in the namespaces of the lab: the node process that
// holds the pods, the first program in each container, and the web server and the observer of the
// image meshlab/web. It is apart from the rest of the lab because it is started once for each
// container and must reach main in a few milliseconds.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/node"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/observe"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/web"
)

// The main goroutine keeps the main thread for itself: a goroutine that changes namespaces must
// never run on it, because the runtime cannot end that thread. Only an init function can
// lock it before main may have moved.
func init() { runtime.LockOSThread() } //nolint:gochecknoinits // see above

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var err error
	switch {
	case len(args) == 2 && args[0] == "node": // the second names the lab, for those who look at the process list
		err = node.Run(os.NewFile(3, "control"))
	case len(args) == 1 && args[0] == "init":
		err = node.Init()
	case len(args) >= 1 && args[0] == "web":
		err = web.Main(args[1:], os.Stderr)
	case len(args) >= 1 && args[0] == "observe":
		err = observe.Main(args[1:], os.Stdout, os.Stderr)
	case len(args) == 1 && args[0] == "pause":
		wait := make(chan os.Signal, 1)
		signal.Notify(wait, syscall.SIGTERM, syscall.SIGINT)
		<-wait
	default:
		fmt.Fprintln(os.Stderr, "usage: meshlab-pod node|init|pause|web|observe [flags]; the lab starts it by itself")
		return 2
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}
