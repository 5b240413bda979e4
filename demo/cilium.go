package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

// connectTime is how long a mesh may take to connect after the last step.
const connectTime = 6 * time.Minute

// syncAndFollow copies the CA, runs the commands that mesh-ca prints as next steps, as printed, and waits until Cilium says
// that all clusters are connected.
func (d *demo) syncAndFollow() error {
	connected, err := d.connected()
	if err != nil {
		return err
	}
	if connected {
		return errors.New("the clusters are connected although their CAs differ")
	}
	d.say("Cilium itself says so, too: no cluster is connected to another.")
	var report v1alpha1.CAChangeReport
	if err := d.document(&report, "mesh-ca", "sync", "--from", "us", "--to-all", "--yes"); err != nil {
		return err
	}
	if len(report.NextSteps) == 0 {
		return errors.New("mesh-ca sync prints no next steps")
	}
	last := slices.IndexFunc(report.NextSteps, func(s v1alpha1.NextStep) bool { return s.AfterAll })
	if last < 0 {
		last = len(report.NextSteps)
	}
	d.say("The steps that mesh-ca prints after it, as printed, in all clusters at once.")
	if err := d.follow(report.NextSteps[:last]); err != nil {
		return err
	}
	if err := d.settled(); err != nil {
		return err
	}
	d.say("The steps that must come last.")
	if err := d.follow(report.NextSteps[last:]); err != nil {
		return err
	}
	if err := d.settled(); err != nil {
		return err
	}
	for start := time.Now(); ; time.Sleep(time.Second) {
		connected, err := d.connected()
		switch {
		case err == nil && connected:
			d.say("All clusters are connected, %s after the last step.", time.Since(start).Round(time.Second))
			return d.each("mesh-ca status --fail-on never")
		case time.Since(start) > connectTime:
			return fmt.Errorf("the clusters are not connected %s after the last step: %w", connectTime, err)
		}
	}
}

// follow runs printed commands: those of a cluster in their order, those of several clusters at the same time. It shows them in the printed order.
func (d *demo) follow(steps []v1alpha1.NextStep) error {
	shown := make([]bytes.Buffer, len(steps))
	var g errgroup.Group
	for i, first := range steps {
		if slices.ContainsFunc(steps[:i], func(s v1alpha1.NextStep) bool { return s.Cluster == first.Cluster }) {
			continue
		}
		g.Go(func() error {
			for j, step := range steps {
				if step.Cluster != first.Cluster {
					continue
				}
				if err := d.shell(step, &shown[j]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	for i := range shown {
		_, _ = shown[i].WriteTo(d.out)
	}
	return err
}

// shell runs one printed command.
func (d *demo) shell(step v1alpha1.NextStep, show io.Writer) error {
	if step.Command == "" {
		return fmt.Errorf("%s: a step without a command: %s", step.Cluster, step.Reason)
	}
	_, _ = fmt.Fprintf(show, "# %s: %s\n$ %s\n", step.Cluster, step.Reason, step.Command)
	cmd := exec.CommandContext(d.ctx, "sh", "-c", step.Command)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", step.Command, err, out.String())
	}
	// What helm prints besides is the chart's welcome.
	first, _, _ := strings.Cut(out.String(), "\n")
	_, _ = fmt.Fprintln(show, first)
	return nil
}

// settled waits until Cilium's pods in all clusters are ready again.
func (d *demo) settled() error {
	for _, c := range d.contexts {
		for _, workload := range []string{"deployment/clustermesh-apiserver", "daemonset/cilium"} {
			if err := d.each(fmt.Sprintf("--context %s -n kube-system rollout status %s --timeout=600s", c, workload)); err != nil {
				return err
			}
		}
	}
	return nil
}

// connected asks every agent whether it is connected to all other clusters.
func (d *demo) connected() (bool, error) {
	for _, c := range d.contexts {
		names, err := d.output("--context", c, "-n", "kube-system", "get", "pods", "-l", "k8s-app=cilium", "-o", "name")
		if err != nil {
			return false, err
		}
		for _, pod := range strings.Fields(string(names)) {
			data, err := d.output("--context", c, "-n", "kube-system", "exec", pod, "-c", "cilium-agent", "--", "cilium-dbg", "status", "-o", "json")
			if err != nil {
				return false, err
			}
			var status struct {
				Mesh struct {
					Clusters []struct{ Ready bool } `json:"clusters"`
				} `json:"cluster-mesh"`
			}
			if err := json.Unmarshal(data, &status); err != nil {
				return false, fmt.Errorf("%s of %s: %w", pod, c, err)
			}
			if len(status.Mesh.Clusters) != len(d.contexts)-1 {
				return false, nil
			}
			for _, peer := range status.Mesh.Clusters {
				if !peer.Ready {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// output runs a command that is not part of what the demo shows.
func (d *demo) output(args ...string) ([]byte, error) {
	return labclient.Kubectl(d.ctx, d.config, args...)
}
