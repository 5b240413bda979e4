// Command bench-start measures how the plugins start, against kubectl in the same run: the time of commands that ask no cluster, the size of the
// binaries, and how long kubeconfigs with credential plugins take. It prints ratios with the bounds that they are meant to keep. A bound that is missed
// is reported and is not a failure: the speed of a machine at one moment says nothing about the code.
//
//	bench-start BIN_DIR KUBECTL
//
// RUNS (21) is how often each command is measured; the commands take turns.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("two arguments are required, the directory of the plugins and kubectl; got %d", len(args))
	}
	runs := 21
	if s := os.Getenv("RUNS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("RUNS=%q is not a number of at least 1", s)
		}
		runs = n
	}
	b := &bench{out: out, bin: args[0], kubectl: args[1], runs: runs}
	if err := b.starts(ctx); err != nil {
		return err
	}
	if err := b.sizes(); err != nil {
		return err
	}
	if err := b.contexts(ctx); err != nil {
		return err
	}
	b.print("\n%-62s %-26s %s", "MEASURED", "BOUND", "RESULT")
	for _, r := range b.rows {
		verdict := "kept"
		if !r.kept {
			verdict = "MISSED"
		}
		b.print("%-62s %-26s %s: %s", r.what, r.bound, verdict, r.got)
	}
	return nil
}

// bench is one run of the whole.
type bench struct {
	out          io.Writer
	bin, kubectl string
	runs         int
	rows         []row
}

// row is one line of the result.
type row struct {
	what, bound, got string
	kept             bool
}

func (b *bench) print(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

func (b *bench) add(what, bound string, kept bool, format string, args ...any) {
	b.rows = append(b.rows, row{what, bound, fmt.Sprintf(format, args...), kept})
}

var plugins = []string{"kubectl-mesh_svc", "kubectl-mesh_ca", "kubectl-mesh_probe"}

// starts compares commands that ask no cluster with kubectl's own, each alone: through kubectl, both would start kubectl first.
func (b *bench) starts(ctx context.Context) error {
	type command struct {
		name  string
		words []string
		took  []time.Duration
	}
	commands := []*command{{name: "kubectl version --client", words: []string{b.kubectl, "version", "--client"}}}
	for _, p := range plugins {
		for _, args := range [][]string{{"version"}, {"--help"}, {"__complete", "--cont"}} {
			words := append([]string{filepath.Join(b.bin, p)}, args...)
			commands = append(commands, &command{name: p + " " + args[0], words: words})
		}
	}
	for range b.runs {
		for _, c := range commands {
			took, err := timed(ctx, c.words)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.took = append(c.took, took)
		}
	}
	peer := median(commands[0].took)
	b.print("%-40s %12s %8s   median of %d runs, in turns", "COMMAND", "MILLISECONDS", "RATIO", b.runs)
	for _, c := range commands {
		m := median(c.took)
		ratio := float64(m) / float64(peer)
		b.print("%-40s %12.1f %8.2f", c.name, float64(m)/float64(time.Millisecond), ratio)
		if c != commands[0] {
			b.add(c.name, "no longer than kubectl", ratio <= 1, "%.2f times", ratio)
		}
	}
	return nil
}

// timed runs a command and returns how long it took. What it prints is left out.
func timed(ctx context.Context, words []string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG=/nonexistent")
	begun := time.Now()
	err := cmd.Run()
	return time.Since(begun), err
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

// sizes compares the binaries. All are stripped.
func (b *bench) sizes() error {
	const mib = 1 << 20
	peer, err := os.Stat(b.kubectl)
	if err != nil {
		return err
	}
	b.print("\n%-40s %12s %8s", "BINARY", "MIB", "RATIO")
	b.print("%-40s %12.1f %8.2f", "kubectl", float64(peer.Size())/mib, 1.0)
	for _, p := range plugins {
		info, err := os.Stat(filepath.Join(b.bin, p))
		if err != nil {
			return err
		}
		ratio := float64(info.Size()) / float64(peer.Size())
		b.print("%-40s %12.1f %8.2f", p, float64(info.Size())/mib, ratio)
		b.add(p+", size", "no more than kubectl", ratio <= 1, "%.2f times", ratio)
	}
	return nil
}
