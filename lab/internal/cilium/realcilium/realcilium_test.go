package realcilium

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

func TestImage(t *testing.T) {
	t.Parallel()
	f := Files{Programs: "/programs", Module: "/module", Clang: "/usr/bin/clang-19"}
	for name, tc := range map[string]struct {
		image, command       string
		runs, wantPrivileged bool
	}{
		"agent":           {"quay.io/cilium/cilium:v1.20.2", "cilium-agent", true, true},
		"with a digest":   {"quay.io/cilium/cilium:v1.20.2@sha256:00", "cilium-agent", true, true},
		"from a mirror":   {"mirror.example.com:5000/cilium/cilium:v1.20.2", "cilium-agent", true, true},
		"configuration":   {"quay.io/cilium/cilium:v1.20.2", "cilium-dbg", true, true},
		"a script":        {"quay.io/cilium/cilium:v1.20.2", "/install-plugin.sh", false, true},
		"a shell":         {"quay.io/cilium/cilium:v1.20.2", "bash", false, true},
		"etcd":            {"quay.io/cilium/clustermesh-apiserver:v1.20.2", "/usr/bin/etcd", true, false},
		"apiserver":       {"quay.io/cilium/clustermesh-apiserver:v1.20.2", "/usr/bin/clustermesh-apiserver", true, false},
		"certgen":         {"quay.io/cilium/certgen:v0.4.11@sha256:00", "/usr/bin/cilium-certgen", true, false},
		"operator":        {"quay.io/cilium/operator-generic:v1.20.2", "cilium-operator-generic", false, false},
		"somebody else's": {"docker.io/library/nginx", "nginx", false, false},
		"no command":      {"quay.io/cilium/cilium:v1.20.2", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &corev1.Container{Image: tc.image}
			if tc.command != "" {
				c.Command = []string{tc.command}
			}
			img, runs := f.Image(c)
			if runs != tc.runs || img.Privileged != tc.wantPrivileged {
				t.Errorf("runs %v, privileged %v; want %v, %v", runs, img.Privileged, tc.runs, tc.wantPrivileged)
			}
		})
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	l := &state.Lab{Connected: true, Clusters: []state.Cluster{
		{Name: "us", ID: 1, Install: "helm", APIServer: "https://127.0.0.1:20001", AdvertiseAddress: "10.200.1.1", Nodes: []state.Node{{Address: "10.200.1.1"}}},
		{Name: "eu", ID: 2, Install: "helm", APIServer: "https://127.0.0.1:20002", AdvertiseAddress: "10.200.2.1", Nodes: []state.Node{{Address: "10.200.2.1"}}},
	}}
	got, err := Values(l, l.Clusters[0])
	if err != nil {
		t.Fatal(err)
	}
	if got["k8sServiceHost"] != "10.200.1.1" || got["k8sServicePort"] != "20001" {
		t.Errorf("API server: %v %v", got["k8sServiceHost"], got["k8sServicePort"])
	}
	peers := func(v map[string]any) any {
		return v["clustermesh"].(map[string]any)["config"].(map[string]any)["clusters"]
	}
	want := []any{map[string]any{"name": "eu", "ips": []any{"10.200.2.1"}, "port": meshNodePort}}
	if diff := cmp.Diff(any(want), peers(got)); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	methods := func(v map[string]any) [2]any {
		mesh := v["clustermesh"].(map[string]any)["apiserver"].(map[string]any)
		auto := func(v map[string]any) any { return v["tls"].(map[string]any)["auto"].(map[string]any)["method"] }
		return [2]any{auto(mesh), auto(v["hubble"].(map[string]any))}
	}
	for install, want := range map[string]string{"helm": "helm", "certgen": "cronJob"} {
		c := l.Clusters[0]
		c.Install = install
		got, err := Values(l, c)
		if err != nil {
			t.Fatal(err)
		}
		if m := methods(got); m != [2]any{want, want} {
			t.Errorf("%s: methods %v, want %s for both", install, m, want)
		}
	}
	for name, lab := range map[string]*state.Lab{
		"alone":         {Connected: true, Clusters: l.Clusters[:1]},
		"not connected": {Clusters: l.Clusters},
	} {
		got, err := Values(lab, lab.Clusters[0])
		if err != nil {
			t.Fatal(err)
		}
		// The chart refuses null.
		if diff := cmp.Diff(any([]any{}), peers(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
