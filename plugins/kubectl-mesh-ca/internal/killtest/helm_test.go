//go:build unix && charts

// Only make helm-charts runs this: it needs six clusters, helm, and Cilium's modules.

package killtest

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// charts are the versions of Cilium whose chart is installed, out of Cilium's own Go module.
func charts() []string { return []string{"1.18.11", "1.19.7", "1.20.2"} }

// TestHelmCharts: real Helm installs real charts. After sync --reissue, federate and rotate, helm upgrade --reuse-values runs as often as it likes, and every leaf
// certificate still verifies at every CA file of the mesh; or the command has refused, with the reason. Only Cilium's processes are the model's.
func TestHelmCharts(t *testing.T) {
	l := openLab(t)
	const perChart = 2
	if want := perChart * len(charts()); len(l.sites) != want {
		t.Fatalf("the lab has %d clusters; want %d", len(l.sites), want)
	}
	var mu sync.Mutex
	var rows []row
	var group sync.WaitGroup
	for n, version := range charts() {
		group.Go(func() {
			t.Run(version, func(t *testing.T) {
				h := newHelm(t, l, version, l.sites[perChart*n:perChart*(n+1)])
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					rows = append(rows, h.rows...)
				}()
				h.play()
			})
		})
	}
	group.Wait()
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.chart, b.chart) })
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "CHART\tCOMMAND\tTOOK\tUPGRADES\tVERIFIED\tRESULT")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n", r.chart, r.command, r.took.Round(time.Second), r.upgrades, r.verified, r.result)
	}
	_ = w.Flush()
	t.Logf("\n%s", out.String())
	l.searchAudit(t)
}

// row is what one command did to a mesh of one chart.
type row struct {
	chart, command, result string
	took                   time.Duration
	upgrades, verified     int
}

// helmMesh is a mesh of two clusters that Helm has installed.
type helmMesh struct {
	*mesh

	version, chart, helm string
	rows                 []row
}

// newHelm installs a chart in two clusters with CAs of their own.
func newHelm(t *testing.T, l *lab, version string, sites []*site) *helmMesh {
	t.Helper()
	h := &helmMesh{version: version}
	h.chart = filepath.Join(moduleDir(t, version), "install/kubernetes/cilium")
	var err error
	h.helm, err = exec.LookPath("helm")
	must(t, err)
	h.mesh = newMesh(t, sites, l.keys, "cilium", 1, func(m *mesh, s *site, id int) {
		h.mesh = m
		m.makeNamespace(s)
		h.run(s, append([]string{"install", "cilium", h.chart}, h.values(s, id, sites)...)...)
	})
	h.wrap()
	return h
}

// moduleDir downloads Cilium's module, as go build does.
func moduleDir(t *testing.T, version string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/cilium/cilium@v"+version)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); err != nil || jsonErr != nil || module.Dir == "" {
		t.Fatalf("go mod download: %v %v %s", err, jsonErr, module.Error)
	}
	return module.Dir
}

// values are those that concern a mesh. Everything about certificates is the chart's default: method helm.
func (h *helmMesh) values(s *site, id int, sites []*site) []string {
	out := []string{
		"cluster.name=" + s.Name, fmt.Sprintf("cluster.id=%d", id), "clustermesh.useAPIServer=true", "clustermesh.apiserver.service.type=LoadBalancer",
		"clustermesh.config.enabled=true", "hubble.relay.enabled=true", "envoy.enabled=false", "l7Proxy=false", "operator.replicas=1",
	}
	n := 0
	for _, peer := range sites {
		if peer != s {
			entry := fmt.Sprintf("clustermesh.config.clusters[%d].", n)
			out = append(out, entry+"name="+peer.Name, entry+"port=2379", entry+"ips[0]="+peer.Nodes[0].KubeletAddress)
			n++
		}
	}
	for i := range out {
		out[i] = "--set=" + out[i]
	}
	return out
}

// run runs helm itself.
func (h *helmMesh) run(s *site, args ...string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer cancel()
	home := filepath.Join(h.dir, "helm")
	cmd := exec.CommandContext(ctx, h.helm, append(args, "--namespace="+h.namespace, "--kubeconfig="+s.Kubeconfig)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	h.keys.note(s.client, h.namespace)
}

// wrap puts a helm on the PATH of mesh-ca whose charts are local: the chart's repository cannot be reached from a test.
func (h *helmMesh) wrap() {
	h.t.Helper()
	dir := filepath.Join(h.dir, "bin")
	must(h.t, os.MkdirAll(dir, 0o700))
	script := fmt.Sprintf(`#!/bin/bash
args=()
while (($#)); do
	case $1 in
	cilium/cilium) args+=(%[1]q) ;;
	--repo) shift; [[ ${args[-1]} == cilium ]] && args[-1]=%[1]q ;;
	--repo=*) [[ ${args[-1]} == cilium ]] && args[-1]=%[1]q ;;
	*) args+=("$1") ;;
	esac
	shift
done
exec %[2]q "${args[@]}"
`, h.chart, h.helm)
	must(h.t, os.WriteFile(filepath.Join(dir, "helm"), []byte(script), 0o700))
}

// play runs the commands one after the other.
func (h *helmMesh) play() {
	h.command("federate", "--yes")
	h.command("federate", "--off", "--allow-disconnect", "--yes")
	h.command("sync", "--from", h.names[0], "--to-all", "--reissue", "--restart", "--helm", "--yes")
	h.command("rotate", "start", "--yes")
	h.command("rotate", "continue", "--yes")
	// The upgrades in between have written certificates: what finish would narrow is not wide any more, and it says so.
	if r := h.mesh.again(killAt{}, "rotate", "finish", "--yes"); r.code == 0 || !strings.Contains(r.stderr, "nothing was written. Run: kubectl mesh-ca rotate continue") {
		h.t.Errorf("%s: finish after an upgrade: exit code %d\n%s", h.version, r.code, r.text())
	}
	for range 4 {
		r := h.mesh.again(killAt{}, "rotate", "continue", "--yes")
		if strings.Contains(r.stderr, "all that is left is the last phase") {
			break
		}
		if r.code != 0 {
			h.t.Errorf("%s: continue after an upgrade: exit code %d\n%s", h.version, r.code, r.text())
		}
	}
	h.command("rotate", "finish", "--yes")
}

// command runs a command, then two upgrades in each cluster, and verifies after each.
func (h *helmMesh) command(args ...string) {
	h.t.Helper()
	if args[0] == "sync" {
		h.forget()
	}
	r := h.mesh.again(killAt{}, args...)
	line := row{chart: h.version, command: strings.TrimSuffix(strings.Join(args, " "), " --yes"), took: r.took}
	defer func() { h.rows = append(h.rows, line) }()
	if r.code != 0 {
		line.result = "refused: " + lastLine(r.stderr)
		h.t.Errorf("%s %s: exit code %d\n%s", h.version, line.command, r.code, r.text())
		return
	}
	apart := slices.Contains(args, "--off")
	h.follow(line.command, apart)
	line.verified += h.verify(line.command, apart)
	const upgrades = 2
	for n := range upgrades {
		for _, name := range h.names {
			h.run(h.sites[name], "upgrade", "cilium", h.chart, "--reuse-values")
			line.upgrades++
		}
		h.follow(fmt.Sprintf("%s, upgrade %d", line.command, n+1), apart)
		line.verified += h.verify(fmt.Sprintf("%s, upgrade %d", line.command, n+1), apart)
	}
	line.result = "kept"
	if h.t.Failed() {
		line.result = "BROKEN"
	}
}

// follow lets kubelets write the files and clients connect, and looks at the model.
func (h *helmMesh) follow(when string, apart bool) {
	h.t.Helper()
	if apart {
		h.forget() // clusters that were separated on purpose need not trust each other
	}
	for end := time.Now().Add(patience); !h.projected(); time.Sleep(time.Second) {
		if time.Now().After(end) {
			h.t.Fatalf("%s %s: the kubelets do not write the files", h.version, when)
		}
	}
	if failure := h.failed(); failure != "" {
		h.t.Fatalf("%s %s: %s", h.version, when, failure)
	}
	if why := h.connected(); why != "" && !apart {
		h.t.Fatalf("%s %s: %s", h.version, when, why)
	}
	h.keep()
}

// projected reports whether the files of all pods are those of the Secrets.
func (h *helmMesh) projected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.world.Mesh {
		for _, name := range leafNames() {
			if secret := p.Source.Secret(name); secret != nil && string(secret.Data[pki.KeyTLSCert]) != string(p.Files[name][pki.KeyTLSCert]) {
				return false
			}
		}
	}
	return true
}

// verify has Go verify every leaf certificate of every cluster at every CA file of every other, and returns how many verified.
func (h *helmMesh) verify(when string, apart bool) int {
	h.t.Helper()
	count := 0
	for _, from := range h.names {
		for _, at := range h.names {
			if apart && from != at {
				continue
			}
			for _, leaf := range leafNames() {
				for _, trust := range leafNames() {
					ok, err := h.verifies(from, leaf, at, trust)
					if err != nil {
						h.t.Errorf("%s %s: %s of %s at %s of %s: %v", h.version, when, leaf, from, trust, at, err)
					}
					if ok {
						count++
					}
				}
			}
		}
	}
	if count == 0 {
		h.t.Errorf("%s %s: nothing was verified", h.version, when)
	}
	return count
}

func (h *helmMesh) verifies(from, leaf, at, trust string) (bool, error) {
	presented, file := source{h.sites[from], h.namespace}.Secret(leaf), source{h.sites[at], h.namespace}.Secret(trust)
	if presented == nil || file == nil {
		return false, nil // not every chart has every Secret
	}
	chain, err := pki.ParseCertificates(presented.Data[pki.KeyTLSCert])
	if err != nil {
		return false, err
	}
	roots, mid := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(file.Data[pki.KeyCACert])
	for _, c := range chain[1:] {
		mid.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: mid, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil, err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
