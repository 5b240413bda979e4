//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// repair kills a drill while the backends are away, and lets another process restore them from what the cluster keeps.
func (l *lab) repair(ctx context.Context, out io.Writer) error {
	before, err := l.state(ctx)
	if err != nil {
		return err
	}
	cmd := l.command(ctx, "kubectl", "mesh-probe", "drill", service, "--in", "us", "--from", "pod/prober", "--from-clusters", "us", "-n", namespace,
		"--hold", "1m", "--rate", "5", "--identify", `body=cluster=(\S+)`, "--yes")
	away := make(chan error, 1)
	said := taken{then: func() error { away <- nil; return nil }}
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		err := cmd.Wait()
		away <- fmt.Errorf("the drill ended early: %w: %s", errors.Join(err, ctx.Err()), said.said.String())
	}()
	if err := <-away; err != nil {
		return err
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	if err := <-away; err == nil {
		return errors.New("the drill went on although it was killed")
	}
	during, err := l.state(ctx)
	if err != nil {
		return err
	}
	if during == before {
		return errors.New("nothing was taken away")
	}
	if err := l.kubectl(ctx, "mesh-probe", "drill", service, "--repair", "--in", "us", "-n", namespace, "--yes"); err != nil {
		return err
	}
	after, err := l.state(ctx)
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("before the drill the state was %s; after --repair it is %s", before, after)
	}
	_, _ = fmt.Fprintln(out, "a drill that was killed while the backends were away: --repair has restored exactly the previous state")
	return l.settle(ctx)
}
