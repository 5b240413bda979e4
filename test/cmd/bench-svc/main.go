//go:build unix

// Command bench-svc measures kubectl mesh-svc against kubectl, over three clusters with thousands of Services and over hundreds of clusters
// that are far away; with the argument ca, mesh-ca over the latter alone; with scale, mesh-svc over meshes of 3, 30, 255 and MESH_CLUSTERS clusters, and one
// cluster with SERVICES. It prints ratios with their bounds. A missed bound is reported, but is not a failure, because the speed of
// a machine at a moment is not a property of the code.
//
//	with-lab.sh --no-net bench-svc
//
// SERVICES (10000) is how many Services each of the three clusters gets, MESH_SERVICES (100) how many each of the MESH_CLUSTERS (255) that are
// RTT (50ms) away has, RUNS (5) how often each thing is measured. SERVICES is rounded up to ten times a tenth of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Cilium's max-connected-clusters is one of these.
const usualMesh, largestMesh = 255, 511

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// command runs the benchmark, or what it starts in processes of their own.
func command(ctx context.Context, args []string) error {
	mode := ""
	if len(args) > 0 {
		mode = args[0]
	}
	switch mode {
	case "", "ca", "scale":
		b, err := newBench(os.Getenv)
		if err != nil {
			return err
		}
		b.mode = mode
		return b.all(ctx)
	case "fill":
		return fillCommand(ctx, os.Stderr, args[1:])
	case "serve":
		return serve(ctx, os.Stdin, os.Stdout, args[1:])
	case "measure":
		return measure(ctx, os.Stdout, args[1:])
	default:
		return fmt.Errorf("%q is not known; bench-svc takes no argument but ca and scale", args[0])
	}
}

// newBench reads the sizes from the environment.
func newBench(getenv func(string) string) (*bench, error) {
	b := &bench{kubeconfig: getenv("MESHLAB_KUBECONFIG"), out: os.Stdout, progress: os.Stderr}
	if b.kubeconfig == "" {
		return nil, errors.New("MESHLAB_KUBECONFIG is not set; run this through with-lab.sh")
	}
	for _, v := range []struct {
		name string
		into *int
		def  int
	}{{"SERVICES", &b.services, 10000}, {"MESH_SERVICES", &b.meshServices, 100}, {"MESH_CLUSTERS", &b.clusters, 255}, {"RUNS", &b.runs, 5}} {
		*v.into = v.def
		s := getenv(v.name)
		if s == "" {
			continue
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s=%q is not a number from 1", v.name, s)
		}
		*v.into = n
	}
	b.rtt = 50 * time.Millisecond
	if s := getenv("RTT"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("RTT=%q is not a duration such as 50ms", s)
		}
		b.rtt = d
	}
	switch small := (b.services + 9) / 10; {
	case b.clusters > largestMesh:
		return nil, fmt.Errorf("MESH_CLUSTERS=%d: a mesh has at most %d clusters", b.clusters, largestMesh)
	case b.meshServices > small:
		return nil, fmt.Errorf("MESH_SERVICES=%d is more than a tenth of SERVICES=%d", b.meshServices, b.services)
	default:
		b.services = 10 * small
		return b, nil
	}
}
