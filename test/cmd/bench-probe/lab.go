package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

const namespace = "bench-probe"

// manifest is a client pod for each tool, and a Service with two backends.
const manifest = `
apiVersion: v1
kind: Namespace
metadata: {name: bench-probe}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx, namespace: bench-probe}
spec:
  replicas: 2
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec: {containers: [{name: web, image: meshlab/web}]}
---
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: bench-probe}
spec:
  selector: {app: nginx}
  ports: [{port: 80}]
`

const client = `
---
apiVersion: v1
kind: Pod
metadata: {name: TOOL, namespace: bench-probe}
spec: {containers: [{name: client, image: meshlab/TOOL}]}
`

func (b *bench) kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := labclient.Kubectl(ctx, b.kubeconfig, append([]string{"--context", b.context, "-n", namespace}, args...)...)
	return strings.TrimSpace(string(out)), err
}

// setUp creates the pods and waits until the Service answers.
func (b *bench) setUp(ctx context.Context) error {
	cfg, err := clientcmd.LoadFromFile(b.kubeconfig)
	if err != nil {
		return err
	}
	b.context = cfg.CurrentContext
	text := manifest
	for _, t := range b.tools {
		text += strings.ReplaceAll(client, "TOOL", t)
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("bench-probe-%d.yaml", os.Getpid()))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(file) }()
	if _, err := b.kubectl(ctx, "apply", "-f", file); err != nil {
		return err
	}
	if _, err := b.kubectl(ctx, "rollout", "status", "deploy/nginx", "--timeout=3m"); err != nil {
		return err
	}
	for _, t := range b.tools {
		if _, err := b.kubectl(ctx, "wait", "--for=condition=Ready", "pod/"+t, "--timeout=3m"); err != nil {
			return err
		}
		pid, err := processOf(t)
		if err != nil {
			return err
		}
		b.pids = append(b.pids, pid)
	}
	if b.address, err = b.kubectl(ctx, "get", "service", "nginx", "-o", "jsonpath={.spec.clusterIP}"); err != nil {
		return err
	}
	return b.answers(ctx)
}

// answers waits until the Service answers, which is when its endpoints have reached the node.
func (b *bench) answers(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := b.inPod(ctx, 0, bareTool[b.tools[0]], 1)
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (b *bench) tearDown() {
	if b.context != "" {
		_, _ = b.kubectl(context.Background(), "delete", "namespace", namespace, "--ignore-not-found", "--wait=false")
	}
}

// processOf returns a process of the pod with this name. The lab sets POD in the environment of every container.
func processOf(pod string) (int, error) {
	for _, p := range processes() {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if err != nil {
			continue
		}
		vars := "\x00" + string(data)
		if strings.Contains(vars, "\x00POD="+pod+"\x00") && strings.Contains(vars, "\x00NAMESPACE="+namespace+"\x00") {
			return p.pid, nil
		}
	}
	return 0, errors.New("no process of pod " + pod + " is visible; this benchmark needs root")
}
