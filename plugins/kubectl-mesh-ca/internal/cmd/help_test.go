package cmd

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli/clitest"
)

// TestFieldDHelpFits: help is read in terminals of 100 columns.
func TestFieldDHelpFits(t *testing.T) {
	t.Parallel()
	clitest.CheckWidth(t, NewRoot)
}

// TestExitCodes: behaviour, help and docs/exit-codes.md agree.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	clitest.CheckExits(t, NewRoot, filepath.Join("..", "..", "..", "..", "docs", "exit-codes.md"))
}

func TestHelp(t *testing.T) {
	t.Parallel()
	clitest.CheckHelp(t, NewRoot(genericiooptions.NewTestIOStreamsDiscard()))
}

func TestSchema(t *testing.T) {
	t.Parallel()
	clitest.CheckSchema(t, NewRoot, "CABackupList", "CABackupReport", "CAChangeReport", "CACheckReport", "CAReport", "FederationReport", "RotationReport")
}

// TestBadInput: one clear line on stderr, nothing on stdout, the documented exit code. None of these reaches a cluster.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KUBECONFIG", filepath.Join(dir, "none"))
	t.Setenv("HOME", dir)
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown command":        {[]string{"snyc"}, 2, `unknown command "snyc"`},
		"no kubeconfig":          {[]string{"status"}, 2, "no kubeconfig with a context was found"},
		"no kubeconfig, write":   {[]string{"sync", "--from", "us", "--to", "eu"}, 1, "no kubeconfig with a context was found"},
		"status of something":    {[]string{"status", "us"}, 2, "us"},
		"sync of something":      {[]string{"sync", "us", "eu"}, 1, "us"},
		"output":                 {[]string{"status", "-o", "xml"}, 2, "--output"},
		"output name of status":  {[]string{"status", "-o", "name"}, 2, "--output"},
		"contexts twice":         {[]string{"status", "--contexts", "a", "--all-contexts"}, 2, "cannot be used together"},
		"unknown flag":           {[]string{"status", "--frobnicate"}, 2, "unknown flag"},
		"field manager":          {[]string{"sync", "--from", "us", "--to", "eu", "--field-manager", ""}, 1, "--field-manager is empty"},
		"preflight":              {[]string{"sync", "--from", "us", "--to", "eu", "--preflight", "no"}, 1, "--preflight"},
		"check of something":     {[]string{"check", "us"}, 2, "us"},
		"check, duration":        {[]string{"check", "--warn-before", "60"}, 2, `"60" is not a duration; write for example 60d, 2w or 36h`},
		"check, thresholds":      {[]string{"check", "--warn-before", "1w", "--fail-before", "2w"}, 2, "--fail-before 14d is longer than --warn-before 7d"},
		"check, date":            {[]string{"check", "--at", "June"}, 2, `--at "June" is not a date; write for example 2027-06-01`},
		"check, chart":           {[]string{"check", "--for", "1.19"}, 2, `--for "1.19" is not known; it must be: 1.20`},
		"check, id":              {[]string{"check", "--ignore", "SVC001"}, 2, `--ignore "SVC001" is not a finding of this plugin`},
		"check, severity":        {[]string{"check", "--fail-on", "bad"}, 2, `--fail-on "bad" is not known`},
		"check, output":          {[]string{"check", "-o", "sarif"}, 2, "--output"},
		"rotate, validity":       {[]string{"rotate", "start", "--valid-for", "365d"}, 1, "--valid-for 365d is too short: leaf certificates end no later than their CA; use at least 366d"},
		"rotate, validity in h":  {[]string{"rotate", "plan", "--valid-for", "24h"}, 2, "--valid-for 1d is too short"},
		"rotate, no validity":    {[]string{"rotate", "start", "--valid-for", "long"}, 1, `"long" is not a duration; write for example 60d, 2w or 36h`},
		"rotate, days":           {[]string{"rotate", "start", "--valid-for", "3650d"}, 1, "no kubeconfig with a context was found"},
		"init, days":             {[]string{"init", "--in", "us", "--valid-for", "520w"}, 1, "no kubeconfig with a context was found"},
		"wait, negative":         {[]string{"federate", "--wait", "-3m"}, 1, `"-3m" is not a duration`},
		"rotate, node":           {[]string{"rotate", "start", "--ignore-node", "node-1"}, 1, `--ignore-node "node-1" is invalid; it must be CLUSTER/NODE`},
		"rotate, client":         {[]string{"rotate", "status", "--ignore-client", "scanner"}, 2, `--ignore-client "scanner" is invalid; it must be the IP address`},
		"restore without --in":   {[]string{"restore", "--backup", "x"}, 1, "--in is missing"},
		"restore without backup": {[]string{"restore", "--in", "eu"}, 1, "--backup is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut}
			root := NewRoot(streams)
			root.SetArgs(tc.args)
			code := cli.Main(t.Context(), root, streams)
			if code != tc.code || !strings.Contains(errOut.String(), tc.want) || !strings.HasPrefix(errOut.String(), "error: ") {
				t.Errorf("exit %d (want %d), stderr %q (want %q)", code, tc.code, errOut.String(), tc.want)
			}
			if out.Len() > 0 || strings.Count(errOut.String(), "\n") != 1 {
				t.Errorf("stdout %q, stderr %q", out.String(), errOut.String())
			}
		})
	}
}
