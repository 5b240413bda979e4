// Command meshlab-net is the nodes and the pod network of a whole lab: the kubelets of all clusters, their
// pods, DNS, and the choice of backends that Cilium would make. It is started by meshlab and
// not meant to be called by hand.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/realcilium"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/labnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

func main() {
	dir := flag.String("state", "", "state directory of the lab, absolute")
	var cilium realcilium.Files
	flag.StringVar(&cilium.Programs, "cilium-programs", "", "directory of Cilium's programs, if they run in the lab")
	flag.StringVar(&cilium.Module, "cilium-module", "", "directory of Cilium's module")
	flag.StringVar(&cilium.Etcd, "etcd", "", "etcd of clustermesh-apiserver")
	flag.StringVar(&cilium.Helpers, "cilium-helpers", "", "directory of the lab's own programs in Cilium's pods")
	flag.StringVar(&cilium.Clang, "clang", "", "compiler of Cilium's datapath")
	flag.Parse()
	if err := run(*dir, cilium); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(dir string, cilium realcilium.Files) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The node process of a terminal's foreground job gets its signals too; it has a session of its own.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return labnet.Run(ctx, labnet.Options{
		Dir: state.Dir(dir), Pod: filepath.Join(filepath.Dir(self), "meshlab-pod"), Cilium: cilium, Ready: os.Stdout, Log: os.Stderr,
	})
}
