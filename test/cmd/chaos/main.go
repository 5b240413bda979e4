// Command chaos has meshlab seed faults into the Services of a lab and kubectl mesh-svc check look for them, and
// compares both ways: every seeded fault must be found, and nothing must be found that was not seeded.
//
// It expects the lab of test/with-lab.sh, and kubectl, meshlab and the plugins on the PATH. SEEDS in the
// environment are the seeds; the word clock is one that the clock gives, and so is none at all.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := trial{out: os.Stdout}
	flag.IntVar(&t.services, "services", 300, "how many Services are made for each seed")
	flag.BoolVar(&t.vary, "vary-settings", true, "whether the clusters' settings are drawn too; else they are as the lab installs them")
	flag.Parse()
	if err := t.run(ctx, strings.Fields(os.Getenv("SEEDS"))); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores signal handling
	}
}

// trial is what is done with each seed.
type trial struct {
	out      io.Writer
	services int
	vary     bool
}

func (t trial) run(ctx context.Context, seeds []string) error {
	if len(seeds) == 0 {
		seeds = []string{clock}
	}
	failed := 0
	for i, seed := range seeds {
		if i > 0 {
			if err := exec.CommandContext(ctx, "meshlab", "chaos-services", "--remove").Run(); err != nil {
				return fmt.Errorf("meshlab chaos-services --remove: %w", err)
			}
		}
		ok, err := t.try(ctx, seed)
		if err != nil {
			return err
		}
		if !ok {
			failed++
		}
	}
	_, _ = fmt.Fprintf(t.out, "%d seeds, %d failed\n", len(seeds), failed)
	if failed > 0 {
		return errors.New("what was seeded and what was found differ")
	}
	return nil
}

// clock stands for a seed that the clock gives.
const clock = "clock"

// try goes through one seed.
func (t trial) try(ctx context.Context, seed string) (ok bool, err error) {
	args := []string{"chaos-services", "--services", fmt.Sprint(t.services), fmt.Sprintf("--vary-settings=%t", t.vary)}
	if seed != clock {
		args = append(args, "--seed", seed)
	}
	var want seeded
	start := time.Now()
	if _, err := document(ctx, &want, "meshlab", args...); err != nil {
		return false, err
	}
	written := time.Since(start)
	var got v1alpha1.FindingList
	start = time.Now()
	code, err := document(ctx, &got, "kubectl", "mesh-svc", "check", "-A", "-o", "json")
	if err != nil {
		return false, err
	}
	if code > 1 || !got.Complete {
		return false, fmt.Errorf("check is not complete (exit code %d)", code)
	}
	r := compare(want, got.Findings)
	kinds := map[string]bool{}
	for _, f := range want.Faults {
		kinds[f.Kind] = true
	}
	_, _ = fmt.Fprintf(t.out, "seed %d: %d services in %d clusters, %d faults of %d kinds seeded, %d found, %d missed; %d of %d findings, %d too many (written in %s, checked in %s)\n",
		want.Seed, want.Services, len(want.Clusters), len(want.Faults), len(kinds), len(want.Faults)-r.unfound, r.unfound, r.found, r.expected, len(r.extra),
		written.Round(100*time.Millisecond), time.Since(start).Round(100*time.Millisecond))
	for _, line := range r.missed {
		_, _ = fmt.Fprintln(t.out, "  missed:", line)
	}
	for _, line := range r.extra {
		_, _ = fmt.Fprintln(t.out, "  too many:", line)
	}
	return len(r.missed)+len(r.extra) == 0, nil
}

// document runs a command and reads the document that it prints, which must parse whatever the exit code is.
func document(ctx context.Context, into any, name string, args ...string) (code int, err error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the commands are ours
	if os.Getenv("KUBECONFIG") == "" {
		cmd.Env = append(os.Environ(), "KUBECONFIG="+os.Getenv("MESHLAB_KUBECONFIG"))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil {
		return 0, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), errors.Join(runErr, err), stderr.String())
	}
	var exit *exec.ExitError
	if errors.As(runErr, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, runErr
}
