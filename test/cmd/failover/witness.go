//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// witnesses asks the agents on the nodes of the clients in both clusters: first in a mesh that is well, and then while the agent of the client
// in us is stopped and has not followed a change.
func (l *lab) witnesses(ctx context.Context, out io.Writer) (err error) {
	if err := errors.Join(l.kubectl(ctx, "mesh-svc", "affinity", "none", service, "--yes"), l.settle(ctx)); err != nil {
		return err
	}
	all, err := l.askAgents(ctx, out)
	if err != nil {
		return err
	}
	node := ""
	for _, w := range all {
		if w.DifferingLayer != "none" {
			return fmt.Errorf("--witness agents: a mesh that is well, and node %s in %s differs: %s %s", w.Node, w.Cluster, w.DifferingLayer, w.Message)
		}
		if w.Cluster == "us" {
			node = w.Node
		}
	}
	pod, err := l.command(ctx, "kubectl", "--context", local, "-n", "kube-system", "get", "pods", "-l", "k8s-app=cilium", "--field-selector", "spec.nodeName="+node,
		"-o", "jsonpath={.items[0].metadata.name}").Output()
	if err != nil {
		return err
	}
	agent, err := agentOf(string(pod))
	if err != nil {
		return err
	}
	if err := syscall.Kill(agent, syscall.SIGSTOP); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, syscall.Kill(agent, syscall.SIGCONT), l.kubectl(ctx, "mesh-svc", "share", service, "--in", "eu", "--yes"), l.settle(ctx))
	}()
	if err := l.kubectl(ctx, "mesh-svc", "unshare", service, "--in", "eu", "--yes"); err != nil {
		return err
	}
	if all, err = l.askAgents(ctx, out); err != nil {
		return err
	}
	for _, w := range all {
		want := "none"
		if w.Node == node {
			want = "agent"
		}
		if w.DifferingLayer != want {
			err = errors.Join(err, fmt.Errorf("--witness agents: the agent on node %s is stopped; of node %s it says %q (%s), want %q", node, w.Node, w.DifferingLayer, w.Message, want))
		}
	}
	return err
}

// askAgents runs a probe from both clusters, shows what the agents have, and returns it.
func (l *lab) askAgents(ctx context.Context, out io.Writer) ([]v1alpha1.ProbeWitness, error) {
	cmd := l.command(ctx, "kubectl", "mesh-probe", "http://"+service, "--from", "pod/prober", "--from-clusters", "us,eu", "-n", namespace, "--count", "400",
		"--identify", `body=cluster=(\S+)`, "--witness", "agents", "-o", "json")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	raw, runErr := cmd.Output()
	var doc v1alpha1.ProbeReport
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("--witness agents: %w: %s", errors.Join(runErr, err), errOut.String())
	}
	if len(doc.Witnesses) < 2 {
		return nil, fmt.Errorf("--witness agents: %d agents were asked, want those of both clusters: %s", len(doc.Witnesses), errOut.String())
	}
	for _, w := range doc.Witnesses {
		_, _ = fmt.Fprintf(out, "--witness agents: node %s in %s: differs: %s %s\n", w.Node, w.Cluster, w.DifferingLayer, w.Message)
	}
	return doc.Witnesses, nil
}

// agentOf finds the process of an agent by its pod: the lab sets POD in the environment of every container.
func agentOf(pod string) (int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil || strings.TrimSpace(string(name)) != "cilium-agent" {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && strings.Contains("\x00"+string(env), "\x00POD="+pod+"\x00") {
			return strconv.Atoi(filepath.Base(dir))
		}
	}
	return 0, fmt.Errorf("no process of the agent %s is visible", pod)
}
