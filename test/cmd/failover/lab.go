//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

const (
	service   = "failover"
	namespace = "default"
	local     = "kind-us"
)

// manifest is the Service and its servers, and a pod for the observer and one for mesh-probe. Both are on the node with this name: each node
// has an agent of its own, which follows a change in its own time.
const manifest = `
apiVersion: v1
kind: Service
metadata: {name: failover, annotations: {service.cilium.io/global: "true"}}
spec: {selector: {app: failover}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: failover}
spec:
  replicas: 2
  selector: {matchLabels: {app: failover}}
  template:
    metadata: {labels: {app: failover}}
    spec:
      containers:
      - {name: web, image: meshlab/web, env: [{name: BODY, value: "cluster=$CLUSTER pod=$POD\n"}], readinessProbe: {httpGet: {port: 80}, periodSeconds: 1, failureThreshold: 1}}
---
apiVersion: v1
kind: Pod
metadata: {name: observer}
spec: {nodeName: NODE, containers: [{name: lab, image: meshlab/web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: prober}
spec: {nodeName: NODE, containers: [{name: busybox, image: meshlab/busybox}]}
`

type lab struct {
	kubeconfig string
	compared   int // the drills whose figure was exact enough to be compared with the observer's
}

func (l *lab) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.kubeconfig)
	return cmd
}

func (l *lab) kubectl(ctx context.Context, args ...string) error {
	if out, err := l.command(ctx, "kubectl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (l *lab) deploy(ctx context.Context) error {
	for _, c := range []string{"kind-us", "kind-eu"} {
		cmd := l.command(ctx, "kubectl", "--context", c, "apply", "-f", "-")
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(manifest, "NODE", strings.TrimPrefix(c, "kind-")+"-worker"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apply to %s: %w: %s", c, err, out)
		}
	}
	return nil
}

// settle waits until all servers are ready and Cilium has had time to follow.
func (l *lab) settle(ctx context.Context) error {
	for _, c := range []string{"kind-us", "kind-eu"} {
		for _, args := range [][]string{
			{"rollout", "status", "deployment/" + service, "--timeout=90s"},
			{"wait", "--for=condition=Ready", "pod/observer", "pod/prober", "--timeout=90s"},
		} {
			if err := l.kubectl(ctx, append([]string{"--context", c}, args...)...); err != nil {
				return err
			}
		}
	}
	const calm = 5 * time.Second
	time.Sleep(calm)
	return nil
}

// observe runs the observer in its pod for a time.
func (l *lab) observe(ctx context.Context, r *result, long time.Duration) error {
	cmd := l.command(ctx, "kubectl", "--context", local, "exec", "observer", "--", "/lab", "observe", "-for="+long.String(), "http://"+service+"."+namespace+".svc.cluster.local/")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("observer: %w: %s", err, errOut.String())
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var a attempt
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("observer: %w: %s", err, lines.Text())
		}
		r.attempts = append(r.attempts, a)
	}
	return nil
}

// probe runs mesh-probe in its pod. Failed requests are what it is asked to see, so that its exit code is not looked at.
func (l *lab) probe(ctx context.Context, r *result) error {
	cmd := l.command(ctx, "kubectl", "mesh-probe", "http://"+service, "--from", "pod/prober", "--from-clusters", "us",
		"--duration", looks.String(), "--max-rate", fmt.Sprint(rate), "--timeout", "2s", "--identify", `body=cluster=(\S+)`, "-o", "json")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	var doc v1alpha1.ProbeReport
	if jsonErr := json.Unmarshal(out, &doc); jsonErr != nil {
		return fmt.Errorf("mesh-probe: %w: %s", errors.Join(err, jsonErr), errOut.String())
	}
	if len(doc.Clients) != 1 || !doc.Clients[0].Complete {
		return fmt.Errorf("mesh-probe is not complete: %s", out)
	}
	c := doc.Clients[0]
	r.requests, r.classes, r.answered = c.Requests, map[string]int{}, map[string]int{}
	for _, e := range c.Errors {
		r.classes[e.Class] += e.Count
		r.failed += e.Count
	}
	for _, a := range c.Answers {
		if n := a.Requests - a.Errors; n > 0 {
			r.answered[a.Name] = n
		}
	}
	if c.DurationMs != nil {
		r.seconds = *c.DurationMs / 1000
	}
	return nil
}

// notReady sets the readiness of all local servers.
func notReady(value string) func(context.Context, *lab) error {
	return func(ctx context.Context, l *lab) error {
		return l.kubectl(ctx, "--context", local, "annotate", "pods", "-l", "app="+service, "lab.kubectl-mesh.io/ready="+value, "--overwrite")
	}
}

// killPods kills the servers without warning; the Deployment makes others.
func killPods(ctx context.Context, l *lab) error {
	return l.kubectl(ctx, "--context", local, "delete", "pods", "-l", "app="+service, "--grace-period=0", "--force")
}

func scale(n int) func(context.Context, *lab) error {
	return func(ctx context.Context, l *lab) error {
		return l.kubectl(ctx, "--context", local, "scale", "deployment", service, fmt.Sprintf("--replicas=%d", n))
	}
}

func cut(ctx context.Context, l *lab) error  { return l.meshlab(ctx, "cut", "us", "eu") }
func heal(ctx context.Context, l *lab) error { return l.meshlab(ctx, "heal", "us", "eu") }

func (l *lab) meshlab(ctx context.Context, args ...string) error {
	if out, err := l.command(ctx, "meshlab", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("meshlab %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
