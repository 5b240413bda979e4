//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// usage is what one run of a program took.
type usage struct {
	Wall, CPU time.Duration
	RSS       int64 // the most memory it held, in bytes
}

// add is what runs one after the other take: times add up, memory is that of the largest.
func (u usage) add(v usage) usage {
	return usage{u.Wall + v.Wall, u.CPU + v.CPU, max(u.RSS, v.RSS)}
}

// run measures a command. A process of its own starts it: the kernel counts the memory of the process that starts a
// program as the program's, and this one may have grown.
func run(ctx context.Context, env []string, command ...string) (usage, error) {
	var u usage
	self, err := os.Executable()
	if err != nil {
		return u, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"measure"}, command...)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return u, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return u, json.Unmarshal(out, &u)
}

// measure is the program of that process: it runs a command, throws away what it prints, and says what it took.
func measure(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errors.New("measure takes a command")
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // it is what this program is for
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	u := usage{Wall: time.Since(start), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.RSS = r.Maxrss << 10 // Linux counts in KiB
	}
	return json.NewEncoder(out).Encode(u)
}

// series is several runs of one thing.
type series []usage

func (s series) of(what func(usage) float64) []float64 {
	out := make([]float64, len(s))
	for i, u := range s {
		out[i] = what(u)
	}
	slices.Sort(out)
	return out
}

func wall(u usage) float64 { return u.Wall.Seconds() }
func cpu(u usage) float64  { return u.CPU.Seconds() }
func mib(u usage) float64  { return float64(u.RSS) / (1 << 20) }

// median returns the middle of a series, and of two the lower.
func (s series) median(what func(usage) float64) float64 { return s.of(what)[(len(s)-1)/2] }

// span writes median and extremes.
func (s series) span(what func(usage) float64, format string) string {
	v := s.of(what)
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.median(what), v[0], v[len(v)-1])
}
