package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/build"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

func TestDatapath(t *testing.T) {
	t.Parallel()
	no, yes, delay := false, true, time.Second
	for name, tc := range map[string]struct {
		spec Spec
		want string // of the error
	}{
		"Cilium":                       {Spec{Datapath: "cilium"}, ""},
		"Cilium, one CA":               {Spec{Datapath: "cilium", OneCA: &yes}, ""},
		"Cilium, same version":         {Spec{Datapath: "cilium", CiliumVersion: map[string]string{"": "1.20.2"}}, ""},
		"Cilium, former version":       {Spec{Datapath: "cilium", CiliumVersion: map[string]string{"": "1.19.7"}}, ""},
		"another version":              {Spec{Datapath: "cilium", CiliumVersion: map[string]string{"": "1.19.5"}}, `cluster "us": --cilium-version 1.19.5: --datapath=cilium is built from Cilium 1.19.7 or 1.20.2 only`},
		"two versions":                 {Spec{Datapath: "cilium", CiliumVersion: map[string]string{"eu": "1.19.7"}}, `--cilium-version: --datapath=cilium runs one version of Cilium in all clusters, not 1.20.2 in "us" and 1.19.7 in "eu"`},
		"another installer":            {Spec{Datapath: "cilium", Install: map[string]string{"eu": "cert-manager"}}, `cluster "eu": --install cert-manager: --datapath=cilium installs with helm or certgen only`},
		"without nodes":                {Spec{Datapath: "cilium", Net: &no}, "--datapath=cilium and --no-net cannot be used together"},
		"with a chooser":               {Spec{Datapath: "cilium", Chooser: "cilium"}, "--datapath=cilium and --chooser=cilium cannot be used together"},
		"with a delay":                 {Spec{Datapath: "cilium", PropagationDelay: &delay}, "--datapath=cilium and --propagation-delay cannot be used together"},
		"with kube-proxy":              {Spec{Datapath: "cilium", KubeProxyReplacement: &no}, "--datapath=cilium needs --kube-proxy-replacement"},
		"one CA in the light lab":      {Spec{OneCA: &yes}, "--one-ca needs --datapath=cilium"},
		"a datapath that nobody knows": {Spec{Datapath: "magic"}, `--datapath is "magic"; want lab or cilium`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tc.spec.lab("/lab")
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

func TestNodesOfCilium(t *testing.T) {
	t.Parallel()
	l, err := Spec{Datapath: "cilium", Clusters: []string{"us", "eu"}}.lab("/lab")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, c := range l.Clusters {
		got[c.Name] = append(got[c.Name], c.AdvertiseAddress, c.NodeCIDR)
		for _, n := range c.Nodes {
			got[c.Name] = append(got[c.Name], n.Name+" "+n.Address+" "+n.KubeletAddress)
		}
	}
	want := map[string][]string{
		"us": {"10.200.1.1", "10.200.1.0/24", "us-worker 10.200.1.1 127.1.0.2", "us-worker2 10.200.1.2 127.1.0.3"},
		"eu": {"10.200.2.1", "10.200.2.0/24", "eu-worker 10.200.2.1 127.2.0.2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !l.RunsCilium() || !l.Clusters[0].KubeProxyReplacement || l.Datapath != state.DatapathCilium {
		t.Errorf("not a lab of Cilium: %+v", l)
	}
}

func TestOneVersionOfCilium(t *testing.T) {
	t.Parallel()
	if chooserVersion != build.CiliumVersion {
		t.Errorf("built %s, the chooser %s", build.CiliumVersion, chooserVersion)
	}
}
