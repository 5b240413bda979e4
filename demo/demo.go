package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed expected.yaml
var expectedYAML []byte

// weights are backends by answering cluster.
type weights map[string]int

// demo runs commands and judges probes.
type demo struct {
	ctx      context.Context //nolint:containedctx // one run, one context
	out      io.Writer
	state    string
	cilium   bool                          // the lab runs Cilium itself
	contexts []string                      // of the lab's clusters
	config   string                        // KUBECONFIG of the chapter under way
	expected map[string]map[string]weights // by probe and client cluster
	probes   []result
}

func newDemo(ctx context.Context, state string, out io.Writer) (*demo, error) {
	if state == "" {
		return nil, errors.New("MESHLAB_STATE is not set; run this with make demo")
	}
	d := &demo{ctx: ctx, out: out, state: state}
	d.config = filepath.Join(state, "kubeconfig")
	return d, yaml.UnmarshalStrict(expectedYAML, &d.expected)
}

// say tells what comes next.
func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, "\n# "+format+"\n", args...)
}

// command shows a command and prepares it.
func (d *demo) command(args []string) *exec.Cmd {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if strings.ContainsAny(a, " '\"*$") {
			quoted[i] = "'" + a + "'"
		}
	}
	_, _ = fmt.Fprintf(d.out, "$ kubectl %s\n", strings.Join(quoted, " "))
	cmd := exec.CommandContext(d.ctx, "kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.config)
	cmd.Stderr = d.out
	return cmd
}

// kubectl runs a command and lets its output through.
func (d *demo) kubectl(args ...string) error {
	cmd := d.command(args)
	cmd.Stdout = d.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// each runs several commands and stops at the first that fails.
func (d *demo) each(commands ...string) error {
	for _, c := range commands {
		if err := d.kubectl(strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// document runs a command with -o json and reads what it prints, which must parse whatever the exit code is.
func (d *demo) document(into any, args ...string) error {
	cmd := d.command(append(args, "-o", "json"))
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	if jsonErr := json.Unmarshal(out.Bytes(), into); jsonErr != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), errors.Join(err, jsonErr))
	}
	if err != nil {
		return fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
