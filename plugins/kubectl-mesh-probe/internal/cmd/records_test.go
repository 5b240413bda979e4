package cmd

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// recorded writes the record of a run. Of each ten requests, us answers so many, and eu the rest; every hundredth fails. Runs with another first
// letter are at another time.
func recorded(t *testing.T, name string, us int, complete bool) string {
	t.Helper()
	start := time.Date(2026, 11, 29, 12+int(name[0]-'a'), 0, 0, 0, time.UTC)
	rec := &record.Record{Log: &history.Log{}, Report: v1alpha1.ProbeReport{
		Document: v1alpha1.Document{APIVersion: v1alpha1.APIVersion, Kind: "ProbeReport", Complete: complete, Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}},
		Target:   v1alpha1.ProbeTarget{URL: "http://nginx", Method: "GET", Service: "web/nginx", Port: 80},
		Clients:  []v1alpha1.ProbeClient{{Name: "us", Cluster: "us", Namespace: "web", Pod: "client-1", Tool: "curl 8.5.0", Complete: complete}},
		Checks:   []v1alpha1.ProbeCheck{{Client: "us", Expectation: "errors<5%", Result: "PASS"}},
	}}
	for n := range 5000 {
		r := history.Request{Client: "us", Pod: "client-1", Start: start.Add(time.Duration(n) * 5 * time.Millisecond), Duration: time.Duration(2000+n*37%900) * time.Microsecond, Measured: true, Connect: time.Millisecond, Status: 200, Cluster: "eu", Member: true, Evidence: "pod name"}
		if n*7%10 < us {
			r.Cluster = "us"
		}
		if n%100 == 0 {
			r.Status, r.Class, r.Cluster, r.Member, r.Measured, r.Duration, r.Connect, r.Evidence = 0, reply.ClassRefused, "", false, false, 0, 0, ""
		}
		rec.Log.Add(r)
	}
	summary.Fill(&rec.Report, rec.Log)
	path := filepath.Join(t.TempDir(), name)
	if err := writeRecord(path, rec); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every format of a record, through the command line.
func TestReportCommand(t *testing.T) {
	t.Parallel()
	file := recorded(t, "a.gz", 5, true)
	page := filepath.Join(t.TempDir(), "page.html")
	for format, want := range map[string]string{
		"table": "<all>         5000", "wide": "<= ", "json": `"kind": "ProbeReport"`, "yaml": "kind: ProbeReport", "jsonl": `{"client":"us","pod":"client-1","startTime":"2026-11-29T12:00:00Z"`,
		"junit": "<testsuite", "prometheus": `mesh_probe_errors{service="web/nginx",client_cluster="us",client_pod="client-1",class="refused"`, "jsonpath={.clients[0].requests}": "5000",
	} {
		out, stderr, code := run(t, "report", file, "-o", format, "--report", page)
		if code != 0 || stderr != "" || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, %q, no %q in %.300s", format, code, stderr, want, out)
		}
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "<strong>PASS</strong>") {
		t.Errorf("the page: %v", err)
	}
	out, _, _ := run(t, "report", file, "-o", "jsonl")
	answers := map[string]int{}
	for line := range strings.Lines(out) {
		var r v1alpha1.ProbeRequest
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		answers[r.Cluster]++
	}
	if answers[""] != 50 || answers["us"]+answers["eu"] != 4950 {
		t.Errorf("%v", answers)
	}
	out, _, _ = run(t, "report", file, "-o", "junit")
	var suites junit.Suites
	if err := xml.Unmarshal([]byte(out), &suites); err != nil || suites.Tests != 2 || suites.Failures+suites.Errors != 0 {
		t.Errorf("%v, %+v", err, suites)
	}
}

// The exit codes of reading commands.
func TestCompareAndMergeCommands(t *testing.T) {
	t.Parallel()
	a, same, other, cut := recorded(t, "a.gz", 5, true), recorded(t, "b.gz", 5, true), recorded(t, "c.gz", 8, true), recorded(t, "d.gz", 5, false)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
		err  string
	}{
		"the same":          {[]string{"compare", a, same}, 0, "SAME, with a confidence of 95.0%", ""},
		"different":         {[]string{"compare", a, other}, 1, "DIFFERENT", "error: the runs differ"},
		"a wide tolerance":  {[]string{"compare", a, other, "--share-tolerance", "50"}, 0, "SAME", ""},
		"not complete":      {[]string{"compare", a, cut}, 2, "INCONCLUSIVE", "was not complete"},
		"different, JSON":   {[]string{"compare", a, other, "-o", "jsonpath={.result}"}, 1, "DIFFERENT", ""},
		"report incomplete": {[]string{"report", cut}, 2, "NOT COMPLETE", "error: runs that were not complete: 1 of 1"},
		"two reports":       {[]string{"report", a, other, "-o", "jsonpath={.clients[0].requests} "}, 0, "5000 5000", ""},
		"one JSON of two":   {[]string{"report", a, other, "-o", "json"}, 2, "", "-o json prints one document, so it takes one record"},
		"one JUnit of two":  {[]string{"report", a, other, "-o", "junit"}, 2, "", "-o junit prints one document, so it takes one record"},
		"one page of two":   {[]string{"report", a, other, "--report", "x.html"}, 2, "", "--report takes one record"},
		"joined":            {[]string{"merge", a, other}, 0, "<all>         10000", ""},
		"joined, cut":       {[]string{"merge", a, cut}, 2, "<all>         10000", "error: one of the runs was not complete"},
		"joined twice":      {[]string{"merge", a, other, a}, 2, "", "error: " + a + " and " + a + " have the same requests, which would count twice"},
	} {
		out, stderr, code := run(t, c.args...)
		if code != c.code || !strings.Contains(out, c.want) || !strings.Contains(stderr, c.err) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, stderr)
		}
	}
	joined := filepath.Join(t.TempDir(), "joined.gz")
	if _, stderr, code := run(t, "merge", a, same, "--record", joined); code != 0 {
		t.Fatal(stderr)
	}
	if out, stderr, code := run(t, "report", joined, "-o", "jsonpath={.clients[0].requests} {.checks[0].expectation}"); code != 0 || out != "10000 errors<5% ("+a+")" {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
	if _, stderr, code := run(t, "merge", a, same, "--record", joined); code != 2 || !strings.Contains(stderr, "the file exists") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// --report replaces an earlier page, and nothing else: no record, no other file, and no device, also not as root.
func TestPageReplacesOnlyPages(t *testing.T) {
	t.Parallel()
	a, b := recorded(t, "a.gz", 5, true), recorded(t, "b.gz", 5, true)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"notes.html": "<!doctype html>\nmine", "empty.html": ""} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link.html": "page.html", "record.html": a, "null.html": os.DevNull} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the record itself":   {[]string{"report", a, "--report", a}, "the file exists and is not a page of mesh-probe"},
		"a link to it":        {[]string{"report", a, "--report", at("record.html")}, "is not a page of mesh-probe"},
		"one of the records":  {[]string{"merge", a, b, "--report", b}, "is not a page of mesh-probe"},
		"the joined record":   {[]string{"merge", a, b, "--record", at("x"), "--report", filepath.Join(dir, ".", "x")}, "is the file of --record"},
		"its partial file":    {[]string{"merge", a, b, "--record", at("x"), "--report", at("x.partial")}, "is the file of --record"},
		"the record of a run": {[]string{"nginx:80", "--from", "deploy/client", "--record", at("x"), "--report", at("x")}, "is the file of --record"},
		"another file":        {[]string{"report", a, "--report", at("notes.html")}, "is not a page of mesh-probe"},
		"a device":            {[]string{"report", a, "--report", os.DevNull}, "it is not a regular file"},
		"a link to a device":  {[]string{"report", a, "--report", at("null.html")}, "it is not a regular file"},
		"a directory":         {[]string{"report", a, "--report", dir}, "it is a directory; name a file in it"},
		"a link to nothing":   {[]string{"report", a, "--report", at("link.html")}, "it is a link to nothing"},
	} {
		if out, stderr, code := run(t, c.args...); code != 2 || out != "" || !strings.Contains(stderr, "error: --report ") || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %s%.200s", name, code, stderr, out)
		}
	}
	for _, file := range []string{a, b} {
		if _, err := readRecord(file, false); err != nil {
			t.Errorf("the record is gone: %v", err)
		}
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("%s: %v, %v", os.DevNull, info, err)
	}
	for _, name := range []string{"empty.html", "page.html", "page.html", "link.html"} {
		if _, stderr, code := run(t, "report", a, "--report", at(name)); code != 0 {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
	if info, err := os.Lstat(at("link.html")); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link: %v, %v", info, err)
	}
	if info, err := os.Lstat(at("empty.html")); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("the file that was private: %v, %v", info, err)
	}
	if _, err := os.Lstat(at("x")); err == nil {
		t.Error("a record was written, although its page was refused")
	}
}

// What a reply or a cluster says never controls the terminal, in any format.
func TestReportPrintsNoControlCharacters(t *testing.T) {
	t.Parallel()
	const evil = "us\x1b[2J\x07\x7f\u009b31m\u202e"
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	rec := &record.Record{Log: &history.Log{}, Report: v1alpha1.ProbeReport{
		Document: v1alpha1.Document{APIVersion: v1alpha1.APIVersion, Kind: "ProbeReport", Complete: true, Members: []v1alpha1.Member{{Name: evil}}},
		Target:   v1alpha1.ProbeTarget{URL: "http://" + evil, Method: "GET", Service: evil},
		Clients:  []v1alpha1.ProbeClient{{Name: evil, Cluster: evil, Pod: evil, Node: evil, Tool: evil, Complete: true, UnknownSample: evil, Warnings: []string{evil}}},
		Marks:    []v1alpha1.ProbeMark{{Time: start, Text: evil}},
		Checks:   []v1alpha1.ProbeCheck{{Client: evil, Expectation: evil, Result: "FAIL", Observed: evil, Reason: evil}},
	}}
	for n := range 50 {
		r := history.Request{Client: evil, Pod: evil, Start: start.Add(time.Duration(n) * time.Millisecond), Status: 200, Cluster: evil, Evidence: evil}
		if n%5 == 0 {
			r.Status, r.Cluster, r.Class, r.Message = 0, "", reply.ClassTool, evil
		}
		rec.Log.Add(r)
	}
	summary.Fill(&rec.Report, rec.Log)
	path := filepath.Join(t.TempDir(), "evil.gz")
	if err := writeRecord(path, rec); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{
		"table", "wide", "json", "yaml", "jsonl", "junit", "prometheus", "jsonpath={.clients[0].unknownSample}", "jsonpath={.clients}", "go-template={{range .checks}}{{.reason}}{{end}}",
	} {
		out, stderr, code := run(t, "report", path, "-o", format, "--color", "never")
		if code != 0 || !strings.Contains(out, "us") {
			t.Errorf("%s: exit code %d, %s%s", format, code, stderr, out)
		}
		for _, r := range out {
			if r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) {
				t.Errorf("%s printed %U: %.300q", format, r, out)
				break
			}
		}
	}
}
