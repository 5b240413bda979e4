// Command demo replays the two walk-throughs of Cilium Cluster Mesh on the lab, by
// calling the three plugins through kubectl, and says what it does before each
// step. Every probe's tally is compared with what mesh-svc predicted and with
// the shares in expected.yaml, which were worked out by hand.
//
// It expects the lab of test/with-lab.sh: MESHLAB_STATE, and kubectl and the plugins on the PATH.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cilium := flag.Bool("cilium", false, "the lab runs Cilium itself (meshlab up --datapath=cilium): trust depends on certificates, so that the steps after the sync are done, too")
	short := flag.Bool("short", false, "stop after the first walk-through, for which two clusters, us and eu, are enough")
	flag.Parse()
	if err := run(ctx, *cilium, *short); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores signal handling
	}
}

func run(ctx context.Context, cilium, short bool) error {
	d, err := newDemo(ctx, os.Getenv("MESHLAB_STATE"), os.Stdout)
	if err != nil {
		return err
	}
	d.cilium, d.contexts = cilium, contexts()
	chapters := []func() error{d.oneCA, d.firstWalkthrough, d.fiveRows, d.secondWalkthrough}
	if short {
		d.contexts, chapters = d.contexts[:2], chapters[:2]
	}
	for _, chapter := range chapters {
		if err := chapter(); err != nil {
			return err
		}
	}
	return d.summary()
}
