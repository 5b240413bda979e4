// Command conformance runs the modules that judge our rules by Cilium's own Go code, one for each Cilium version,
// and prints what was compared. It exits with 1 if anything differs.
//
//	go run ./test/conformance              # all versions
//	go run ./test/conformance 1.20 1.18    # these minor versions
//	go run ./test/conformance 1.19.7       # this one
//	go run ./test/conformance exporter     # Cilium's clustermesh-apiserver beside a lab; see make conformance-exporter
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

// The minor versions for which we have rules.
const oldest, newest = 15, 20

// exporter is the directory of the module that needs a lab, and therefore runs only alone.
const exporter = "exporter"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], "test/conformance", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, wanted []string, dir string, stdout io.Writer) error {
	pattern := "v*"
	switch {
	case !slices.Contains(wanted, exporter):
	case len(wanted) > 1:
		return fmt.Errorf("%s runs alone, as it needs a lab", exporter)
	default:
		pattern, wanted = exporter, nil
	}
	modules, err := judges(dir, pattern)
	if err != nil {
		return err
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(modules, func(m module) bool { return m.is(w) }) {
			return fmt.Errorf("no judge for Cilium %s below %s", w, dir)
		}
	}
	report, err := os.CreateTemp("", "conformance-*.json")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(report.Close(), os.Remove(report.Name())) }()
	var failed []error
	for _, m := range modules {
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, m.is) {
			continue
		}
		fmt.Fprintf(os.Stderr, "comparing with Cilium %s; the first time its code is compiled, which takes minutes\n", m.version)
		cmd := exec.CommandContext(ctx, "go", "test", "-C", m.dir, "-count=1", "-timeout=60m", ".")
		cmd.Env = append(os.Environ(), "CONFORMANCE_REPORT="+report.Name())
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			failed = append(failed, fmt.Errorf("cilium %s: %w", m.version, err))
		}
	}
	results, err := read(report)
	if err != nil {
		return err
	}
	if err := write(stdout, results); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// module is one of the directories v*, or the exporter's.
type module struct {
	dir     string
	version cilium.Version
}

// is says whether wanted, such as 1.19 or 1.19.7, names the module's version.
func (m module) is(wanted string) bool {
	return wanted == m.version.String() || wanted == fmt.Sprintf("1.%d", m.version.Minor)
}

var required = regexp.MustCompile(`(?m)^\s*github\.com/cilium/cilium (v\S+)$`)

// judges finds the modules and the version that each one's go.mod names, the newest first.
func judges(dir, pattern string) ([]module, error) {
	files, err := filepath.Glob(filepath.Join(dir, pattern, "go.mod"))
	if err != nil {
		return nil, err
	}
	var out []module
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m := required.FindSubmatch(b)
		if m == nil {
			return nil, fmt.Errorf("%s: no requirement of github.com/cilium/cilium", f)
		}
		out = append(out, module{filepath.Dir(f), cilium.ParseVersion(string(m[1]))})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no judge below %s; run this from the top of the repository", dir)
	}
	slices.SortFunc(out, func(a, b module) int {
		return cmp.Or(cmp.Compare(b.version.Minor, a.version.Minor), cmp.Compare(b.version.Patch, a.version.Patch))
	})
	return out, nil
}

func read(r io.ReadSeeker) ([]body.Result, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var out []body.Result
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var res body.Result
		if err := json.Unmarshal(lines.Bytes(), &res); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
		out = append(out, res)
	}
	return out, lines.Err()
}

// write prints what was compared, and what was not: versions without a judge, or whose judge was not asked or did not run.
func write(w io.Writer, results []body.Result) error {
	lines := []string{"CILIUM\tFUNCTION\tCASES\tDIFFERENCES\tSEED"}
	for _, r := range results {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%d\t%d\t%d", r.Version, r.Function, r.Cases, r.Differences, r.Seed))
	}
	for minor := newest; minor >= oldest; minor-- {
		of := fmt.Sprintf("1.%d", minor)
		var judged []string
		for _, r := range results {
			if strings.HasPrefix(r.Version, of+".") && !slices.Contains(judged, r.Version) {
				judged = append(judged, r.Version)
			}
		}
		if len(judged) > 0 {
			of += ", other than " + strings.Join(judged, ", ")
		}
		lines = append(lines, of+"\tunjudged\t\t\t")
	}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, err := fmt.Fprintln(tw, strings.Join(lines, "\n"))
	return errors.Join(err, tw.Flush())
}
