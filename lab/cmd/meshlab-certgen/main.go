// Command meshlab-certgen is what runs as /usr/bin/cilium-certgen in the Jobs of a lab with Cilium: an imitation of certgen. It
// uses the token of its pod's service account.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/certgen"
)

// timeout bounds a run. certgen gives each request a minute.
const timeout = time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error: generate certificates:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	fmt.Fprintln(os.Stderr, "cilium-certgen, imitated by the lab of kubectl-mesh")
	config, err := certgen.ParseConfig(args, os.Getenv)
	if err != nil {
		return err
	}
	server, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	server.UserAgent = certgen.Manager
	client, err := kubernetes.NewForConfig(server)
	if err != nil {
		return err
	}
	return certgen.Run(ctx, config, client, time.Now(), os.Stderr)
}
