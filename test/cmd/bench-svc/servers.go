//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// servers is the process that the clusters far away are in.
type servers struct {
	cmd *exec.Cmd
	in  io.Closer
}

func (b *bench) serve(ctx context.Context, kubeconfig string) (*servers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", b.kubeconfig, b.contexts[0], strconv.Itoa(b.clusters), b.rtt.String(), kubeconfig}
	if b.mode == "ca" {
		args = append(args, withLeaves)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = b.progress
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &servers{cmd, in}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		s.stop()
		return nil, fmt.Errorf("the servers did not start: %q", line)
	}
	return s, nil
}

// stop lets the process end: it does when its stdin is closed.
func (s *servers) stop() {
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// cpu returns the CPU seconds so far.
func (s *servers) cpu() float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return ticks(string(data)) / 100
}

// ticks reads user and system time from a line of /proc/PID/stat, in the unit of that file: hundredths of a second on Linux.
func ticks(stat string) float64 {
	// The name is in brackets and may contain brackets. Then come the state and, as 12th and 13th, the times.
	rest := stat[strings.LastIndex(stat, ")")+1:]
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var sum float64
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseFloat(f, 64)
		sum += n
	}
	return sum
}
