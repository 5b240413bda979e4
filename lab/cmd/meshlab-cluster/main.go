// Command meshlab-cluster is the control plane of one cluster of the lab, in one
// process, so that a cluster can be stopped, frozen or killed by itself. It is
// started by meshlab and not meant to be called by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/server"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

const directoryCheckInterval = 2 * time.Second

func main() {
	dir := flag.String("state", "", "state directory of the lab, absolute")
	name := flag.String("name", "", "name of the cluster")
	flag.Parse()
	if err := run(state.Dir(*dir), *name); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(dir state.Dir, name string) error {
	lab, err := dir.Read()
	if err != nil {
		return err
	}
	c, ok := lab.Cluster(name)
	if !ok {
		return fmt.Errorf("no cluster %q in %s", name, dir.LabFile())
	}
	home := dir.ClusterDir(name)
	if err := os.Chdir(home); err != nil {
		return err
	}
	// Client-go takes the user agent, and the API server the field manager, from the
	// program's name. The objects are to look as in a real cluster.
	os.Args[0] = "kube-controller-manager"

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := server.WatchDirectory(ctx, home, directoryCheckInterval)
	defer cancel()
	err = server.Run(ctx, dir, *c)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
