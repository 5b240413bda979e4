package labtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// recorder stands in for a tool that changes an installation. It writes its arguments to a file, one call a line, without directories.
const recorder = `#!/bin/sh
{ printf '%s' "${0##*/}"; for a in "$@"; do printf ' [%s]' "$(printf '%s' "$a" | sed 's,^/.*/,,')"; done; echo; } >>"$RECORDED"
`

// recorded lists the tools that a recorder replaces.
var recorded = []string{"helm", "flux", "argocd", "cilium", "cmctl"}

// printedCommand is where a command begins in a line for a person. It goes on to the end of the line.
var printedCommand = regexp.MustCompile(`(?:^ +|: )((?:KUBECONFIG=\S+ )?(?:kubectl|helm|flux|argocd|cilium|cmctl) .*|for c in .*; done|echo '.* \| .*kubectl .*)$`)

// nextCommand is where a second command follows in a sentence.
var nextCommand = regexp.MustCompile(`; to [a-z ]+, run: `)

// commandKeys are the fields of documents that hold a command, or a list of them.
var commandKeys = []string{"fix", "undoCommand", "retryCommand", "command", "undoCommands"}

// printed runs every command that documents (*.json) and lines for a person (other files) hold, each once, exactly as printed: from another
// directory and with a KUBECONFIG whose current context leads nowhere. Each must succeed. -refused RE names those that must be refused
// because nobody answers their prompt. The arguments of helm, flux, argocd, cilium and cmctl are added to the file recorded.
func printed(ts *testscript.TestScript, neg bool, args []string) {
	var refused *regexp.Regexp
	if len(args) > 1 && args[0] == "-refused" {
		refused, args = regexp.MustCompile(args[1]), args[2:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: printed [-refused RE] FILE...")
	}
	var commands []string
	for _, file := range args {
		text := ts.ReadFile(file)
		if strings.HasSuffix(file, ".json") {
			var doc any
			ts.Check(json.Unmarshal([]byte(text), &doc))
			collect(doc, "", &commands)
			continue
		}
		for line := range strings.Lines(text) {
			if found := printedCommand.FindStringSubmatch(strings.TrimRight(line, "\n")); found != nil {
				commands = append(commands, nextCommand.Split(found[1], -1)...)
			}
		}
	}
	if len(commands) == 0 {
		ts.Fatalf("no command is printed in %s", strings.Join(args, ", "))
	}
	bin, elsewhere := ts.MkAbs(".stands"), ts.MkAbs(".elsewhere")
	ts.Check(os.MkdirAll(bin, 0o700))
	ts.Check(os.MkdirAll(elsewhere, 0o700))
	for _, tool := range recorded {
		ts.Check(os.WriteFile(filepath.Join(bin, tool), []byte(recorder), 0o700)) //nolint:gosec // it is run
	}
	nowhere := filepath.Join(elsewhere, "kubeconfig")
	ts.Check(os.WriteFile(nowhere, []byte("apiVersion: v1\nkind: Config\ncurrent-context: nowhere\nclusters: [{name: n, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: nowhere, context: {cluster: n}}]\n"), 0o600))
	done := map[string]bool{}
	for _, command := range commands {
		if done[command] {
			continue
		}
		done[command] = true
		ts.Logf("> %s", command)
		out, err := paste(ts, command, bin, elsewhere, nowhere)
		switch {
		case refused != nil && refused.MatchString(command):
			if err == nil || !strings.Contains(out, "--yes") {
				ts.Fatalf("%s: it must ask for --yes: %v: %s", command, err, out)
			}
		case err != nil:
			ts.Fatalf("%s: %v: %s", command, err, out)
		}
	}
}

// collect gathers the commands of a document in their order.
func collect(v any, key string, out *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range commandKeys {
			collect(v[k], k, out)
		}
		for k, sub := range v {
			if !slices.Contains(commandKeys, k) {
				collect(sub, k, out)
			}
		}
	case []any:
		for _, sub := range v {
			collect(sub, key, out)
		}
	case string:
		if slices.Contains(commandKeys, key) && printedCommand.MatchString(": "+v) {
			*out = append(*out, v)
		}
	}
}

// paste runs a command in a shell of its own.
func paste(ts *testscript.TestScript, command, bin, dir, kubeconfig string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", command)
	sh.Dir = dir
	sh.Env = []string{"PATH=" + bin + string(filepath.ListSeparator) + ts.Getenv("PATH"), "HOME=" + dir, "KUBECONFIG=" + kubeconfig,
		"XDG_STATE_HOME=" + ts.Getenv("XDG_STATE_HOME"), "EDITOR=true", "RECORDED=" + ts.MkAbs("recorded")}
	var out bytes.Buffer
	sh.Stdout, sh.Stderr = &out, &out
	err := sh.Run()
	return out.String(), err
}

// decoy makes a Service of the default namespace that no command of the script means: decoy NAME CONTEXT... It is deleted at the end.
func decoy(ts *testscript.TestScript, neg bool, args []string) {
	const least = 2
	if neg || len(args) < least {
		ts.Fatalf("usage: decoy NAME CONTEXT...")
	}
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	for _, c := range args[1:] {
		_, err := run(ts, "kubectl", "--kubeconfig", kubeconfig, "--context", c, "-n", "default", "create", "service", "clusterip", args[0], "--tcp=80")
		ts.Check(err)
		ts.Defer(func() {
			if _, err := run(ts, "kubectl", "--kubeconfig", kubeconfig, "--context", c, "-n", "default", "delete", "service", args[0]); err != nil {
				ts.Logf("%s", fmt.Sprint(err))
			}
		})
	}
}
