package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// countedPorts is a Ports whose answers are known beforehand.
type countedPorts struct{ next int }

func (p *countedPorts) Free(string) (int, error) {
	p.next++
	return 20000 + p.next, nil
}

func TestPlan(t *testing.T) {
	t.Parallel()
	got, err := Plan("/lab", []string{"us", "eu"}, &countedPorts{})
	if err != nil {
		t.Fatal(err)
	}
	want := state.Cluster{
		Name: "eu", ID: 2, Context: "kind-eu", Kubeconfig: "/lab/eu/admin.kubeconfig", APIServer: "https://127.0.0.1:20004",
		PodCIDR: "10.2.0.0/16", ServiceCIDR: "172.20.2.0/24", DNSIP: "172.20.2.10",
		Nodes: []state.Node{
			{Name: "eu-worker", PodCIDR: "10.2.1.0/24", Address: "127.2.0.2", KubeletAddress: "127.2.0.2", KubeletPort: 20005},
			{Name: "eu-worker2", PodCIDR: "10.2.2.0/24", Address: "127.2.0.3", KubeletAddress: "127.2.0.3", KubeletPort: 20006},
		},
		KubeletClientCA: "/lab/eu/pki/ca.crt", KubeletClientName: "kube-apiserver-kubelet-client",
		KubeletServingCert: "/lab/eu/pki/kubelet.crt", KubeletServingKey: "/lab/eu/pki/kubelet.key",
	}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("second cluster (-want +got):\n%s", diff)
	}
}

func TestPlanRangesOfAMeshDoNotOverlap(t *testing.T) {
	t.Parallel()
	names := make([]string, MaxClusters)
	for i := range names {
		names[i] = "c" + strings.Repeat("x", i%20) + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	clusters, err := Plan("/lab", names, &countedPorts{})
	if err != nil {
		t.Fatal(err)
	}
	var ranges []netip.Prefix
	for _, c := range clusters {
		for _, cidr := range []string{c.PodCIDR, c.ServiceCIDR} {
			prefix, err := netip.ParsePrefix(cidr)
			if err != nil {
				t.Fatalf("cluster %d: %v", c.ID, err)
			}
			for _, other := range ranges {
				if other.Overlaps(prefix) {
					t.Errorf("cluster %d: %s overlaps %s", c.ID, prefix, other)
				}
			}
			ranges = append(ranges, prefix)
		}
		if !netip.MustParsePrefix(c.ServiceCIDR).Contains(netip.MustParseAddr(c.DNSIP)) {
			t.Errorf("cluster %d: DNS address %s is not a service address of %s", c.ID, c.DNSIP, c.ServiceCIDR)
		}
	}
}

func TestPlanErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		names []string
		want  string
	}{
		"none":                   {nil, "at least one cluster"},
		"twice":                  {[]string{"us", "us"}, `"us" is named twice`},
		"upper case":             {[]string{"US"}, "lower-case"},
		"path":                   {[]string{"../us"}, "lower-case"},
		"empty":                  {[]string{"us", ""}, "lower-case"},
		"too long":               {[]string{strings.Repeat("a", 33)}, "at most 32"},
		"Cilium's default":       {[]string{"default"}, "Cilium refuses"},
		"a file of the lab":      {[]string{"net"}, "file name of the lab"},
		"more than a mesh holds": {make([]string, 256), "at most 255"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Plan("/lab", tc.names, &countedPorts{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

func TestFreePortsAreFree(t *testing.T) {
	t.Parallel()
	var ports FreePorts
	seen := map[int]bool{}
	for range 20 {
		port, err := ports.Free("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Errorf("port %d was given twice", port)
		}
		seen[port] = true
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	dir := state.Dir(t.TempDir())
	clusters, err := Plan(dir, []string{"us", "eu"}, &countedPorts{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clusters {
		if err := Prepare(dir, c, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteKubeconfigs(dir, clusters); err != nil {
		t.Fatal(err)
	}

	t.Run("kubeconfig holds all contexts", func(t *testing.T) {
		t.Parallel()
		config, err := clientcmd.LoadFromFile(dir.Kubeconfig())
		if err != nil {
			t.Fatal(err)
		}
		if err := clientcmd.Validate(*config); err != nil {
			t.Error(err)
		}
		if len(config.Contexts) != 2 || config.CurrentContext != "kind-us" {
			t.Errorf("want two contexts, current kind-us; got %d, current %s", len(config.Contexts), config.CurrentContext)
		}
	})
	t.Run("one file per cluster", func(t *testing.T) {
		t.Parallel()
		config, err := clientcmd.LoadFromFile(dir.ClusterKubeconfig("eu"))
		if err != nil {
			t.Fatal(err)
		}
		if len(config.Contexts) != 1 || config.CurrentContext != "kind-eu" {
			t.Errorf("want the context kind-eu alone, got %v", config.Contexts)
		}
	})
	t.Run("certificates are of the cluster's own authority", func(t *testing.T) {
		t.Parallel()
		files := Files(dir.ClusterDir("us"))
		verify(t, files.CACert(), files.ServingCert(), files.ServingKey(), "172.20.1.1", x509.ExtKeyUsageServerAuth)
		verify(t, files.CACert(), files.KubeletServingCert(), files.KubeletServingKey(), "127.1.0.3", x509.ExtKeyUsageServerAuth)
		verify(t, files.CACert(), files.KubeletClientCert(), files.KubeletClientKey(), "", x509.ExtKeyUsageClientAuth)
	})
	t.Run("nobody else can read a key", func(t *testing.T) {
		t.Parallel()
		files := Files(dir.ClusterDir("us"))
		for _, name := range []string{files.ServiceAccountKey(), files.ServingKey(), dir.Kubeconfig(), files.AdminKubeconfig()} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
		}
	})
}

func verify(t *testing.T, caFile, certFile, keyFile, host string, usage x509.ExtKeyUsage) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		t.Errorf("%s: %v", certFile, err)
	}
}
