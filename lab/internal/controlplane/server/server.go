// Package server runs the control plane of one cluster of the lab in this
// process: etcd, kube-apiserver and kube-controller-manager out of their own Go
// modules. It is the only package that imports k8s.io/kubernetes, which makes its
// binary large and its first build long; it therefore holds nothing else. It knows
// neither Cilium nor the other clusters.
package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"time"

	"k8s.io/client-go/rest"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllermanageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/cluster"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

const (
	// Starting is bound by the CPU, and most of what it allocates stays: with the
	// collector off until the server is ready three clusters start in two thirds of
	// the time. The limit keeps that from being a leak.
	memoryWhileStarting = 600 << 20
	// Afterwards memory is scarcer than time: several API servers share a machine.
	gcPercentWhenReady = 50

	readyTimeout  = 5 * time.Minute
	readyInterval = 50 * time.Millisecond
)

// Run runs the control plane of c until ctx ends or a part of it fails. The working
// directory must be the cluster's. The log goes to standard error.
func Run(ctx context.Context, dir state.Dir, c state.Cluster) error {
	restoreGC := collectorOff()
	files := cluster.Files(dir.ClusterDir(c.Name))

	stopEtcd, err := startEtcd(ctx, files.EtcdDir(), "stderr")
	if err != nil {
		return err
	}
	defer stopEtcd()

	server, controllers, err := options(files, c)
	if err != nil {
		return err
	}
	// Client-go would log what the lab itself uses of deprecated interfaces.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	// The API server ends after the controllers, etcd after the API server: each
	// part still has what it depends on while it winds up.
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServer()
	serverEnd := start(func() error { return runServer(serverCtx, server) })
	if err := waitReady(ctx, c, serverEnd.done); err != nil {
		stopServer()
		return errors.Join(err, serverEnd.wait())
	}
	restoreGC()

	controllersEnd := start(func() error { return runControllers(ctx, controllers) })
	select {
	case <-controllersEnd.done:
	case <-serverEnd.done:
		return fmt.Errorf("the API server ended by itself: %w", serverEnd.wait())
	}
	stopServer()
	errs := errors.Join(controllersEnd.wait(), serverEnd.wait())
	if ctx.Err() == nil {
		return fmt.Errorf("the controller-manager ended by itself: %w", errs)
	}
	return errs
}

// end is the end of something that runs in the background.
type end struct {
	done chan struct{}
	err  error
}

func start(run func() error) *end {
	e := &end{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.err = run()
	}()
	return e
}

// wait returns the error that it ended with; having been told to stop is none.
func (e *end) wait() error {
	<-e.done
	if errors.Is(e.err, context.Canceled) {
		return nil
	}
	return e.err
}

func collectorOff() (restore func()) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryWhileStarting)
	return func() {
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(gcPercentWhenReady)
		debug.FreeOSMemory()
	}
}

func runServer(ctx context.Context, o *apiserveroptions.ServerRunOptions) error {
	completed, err := o.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return errors.Join(errs...)
	}
	return apiserver.Run(ctx, completed)
}

func runControllers(ctx context.Context, o *controllermanageroptions.KubeControllerManagerOptions) error {
	config, err := o.Config(ctx, controllermanager.KnownControllers(), controllermanager.ControllersDisabledByDefault(), controllermanager.ControllerAliases())
	if err != nil {
		return err
	}
	return controllermanager.Run(ctx, config.Complete())
}

// waitReady waits until the API server says that it is ready. The wait is bounded:
// with a wrong option it never is.
func waitReady(ctx context.Context, c state.Cluster, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return errors.New("the API server did not start")
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready after %s: %w", readyTimeout, ctx.Err())
		case <-tick.C:
		}
		if cluster.Ready(ctx, c) {
			return nil
		}
	}
}

// WatchDirectory ends the returned context when the cluster's directory is gone: a
// control plane whose state was removed by hand must not run on unseen.
func WatchDirectory(ctx context.Context, dir string, every time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}
