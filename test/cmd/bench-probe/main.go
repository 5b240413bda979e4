// Command bench-probe compares how fast kubectl mesh-probe sends requests from a pod with hey, with the bare tool (one process in the pod
// that throws the replies away), and with the loop of the first walk-through. It prints rates, CPU time per request, and verdicts. A missed
// bound is reported, but is not a failure, because the speed of a machine at a moment is not a property of the code.
//
//	with-lab.sh --clusters=us bench-probe
//
// ROUNDS (5) is how often each is measured, one after the other in each round. REQUESTS (24000) is the number of requests of one measurement,
// LOOP (400) that of the loop. TOOLS (curl,wget,busybox) are the images of the client pods. It needs root, hey and nsenter.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context) error {
	b, err := newBench(os.Getenv)
	if err != nil {
		return err
	}
	defer b.tearDown()
	if err := b.setUp(ctx); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	b.report()
	return nil
}

// newBench reads the sizes from the environment.
func newBench(getenv func(string) string) (*bench, error) {
	b := &bench{kubeconfig: getenv("MESHLAB_KUBECONFIG"), out: os.Stdout, tools: []string{"curl", "wget", "busybox"}, measured: map[contender][]sample{}}
	if b.kubeconfig == "" {
		return nil, errors.New("MESHLAB_KUBECONFIG is not set; run this through with-lab.sh")
	}
	for _, v := range []struct {
		name string
		into *int
		def  int
	}{{"ROUNDS", &b.rounds, 5}, {"REQUESTS", &b.requests, 24000}, {"LOOP", &b.loop, 400}} {
		*v.into = v.def
		if s := getenv(v.name); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%s=%q: must be a number greater than 0", v.name, s)
			}
			*v.into = n
		}
	}
	if s := getenv("TOOLS"); s != "" {
		b.tools = strings.Split(s, ",")
		for _, t := range b.tools {
			if bareTool[t] == "" {
				return nil, fmt.Errorf("TOOLS=%q: %q must be one of: curl, wget, busybox", s, t)
			}
		}
	}
	return b, nil
}
