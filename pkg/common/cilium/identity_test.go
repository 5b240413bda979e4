package cilium

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersionFromImage(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"quay.io/cilium/cilium:v1.18.11@sha256:c785": "1.18.11",
		"quay.io/cilium/cilium:v1.20.0-rc.1":         "1.20.0-rc.1",
		"registry:5000/mirror/cilium:1.16.19":        "1.16.19",
		"registry:5000/mirror/cilium":                "unknown",
		"quay.io/cilium/cilium@sha256:abc":           "unknown",
		"quay.io/cilium/cilium:latest":               "unknown",
		"quay.io/cilium/cilium:v1.18":                "unknown",
		"":                                           "unknown",
	}
	for image, want := range cases {
		if got := VersionFromImage(image).String(); got != want {
			t.Errorf("%s: got %s, want %s", image, got, want)
		}
	}
}

func TestRulesForUnknownCoversEverySupportedVersion(t *testing.T) {
	t.Parallel()
	unknown := RulesFor(Version{})
	for minor := 15; minor <= 20; minor++ {
		for _, patch := range []int{0, 5, 6, 19} {
			v := Version{Major: 1, Minor: minor, Patch: patch}
			got := RulesFor(v)
			if len(got) != 1 {
				t.Errorf("%s: %d sets of rules", v, len(got))
			}
			found := false
			for _, u := range unknown {
				found = found || u.Rules == got[0].Rules
			}
			if !found {
				t.Errorf("%s: its rules are not among those for an unknown version", v)
			}
		}
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	def := Config{ClusterName: "default", MaxConnectedClusters: 255, DefaultGlobalNamespace: true,
		Datapath: Datapath{RoutingMode: "tunnel", TunnelProtocol: "vxlan", TunnelPort: "8472", IPAM: "cluster-pool", Chaining: "none", PolicyEnforcement: "default"}}
	with := func(f func(*Config)) Config { c := def; f(&c); return c }
	cases := map[string]struct {
		data map[string]string
		want Config
		err  string
	}{
		"empty": {nil, def, ""},
		"a cluster": {map[string]string{"cluster-name": "us", "cluster-id": "1", "max-connected-clusters": "511"},
			with(func(c *Config) { c.ClusterName, c.ClusterID, c.MaxConnectedClusters = "us", 1, 511 }), ""},
		"gate":         {map[string]string{"clustermesh-default-global-namespace": "false"}, with(func(c *Config) { c.DefaultGlobalNamespace = false }), ""},
		"kpr strict":   {map[string]string{"kube-proxy-replacement": "strict"}, with(func(c *Config) { c.KubeProxyReplacement = true }), ""},
		"kpr true":     {map[string]string{"kube-proxy-replacement": "true"}, with(func(c *Config) { c.KubeProxyReplacement = true }), ""},
		"sync":         {map[string]string{"clustermesh-enable-endpoint-sync": "true"}, with(func(c *Config) { c.EndpointSliceSync = true }), ""},
		"proxy name":   {map[string]string{"k8s-service-proxy-name": "cilium"}, with(func(c *Config) { c.ServiceProxyName = "cilium" }), ""},
		"id no number": {map[string]string{"cluster-id": "one"}, def, "cluster-id"},
		"id too high":  {map[string]string{"cluster-id": "512"}, def, "cluster-id"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseConfig(c.data)
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want one about %q", err, c.err)
			}
			if d := cmp.Diff(c.want, got); d != "" && err == nil {
				t.Error(d)
			}
		})
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	secret := map[string][]byte{
		"us": []byte("endpoints:\n- x"), "eu": []byte("endpoints:\n- x"), "ap": []byte("endpoints: [y]"),
		"eu.etcd-client-ca.crt": []byte("-----BEGIN"), "note": []byte("hello"),
	}
	got, skipped := PeersFromSecret(secret, "us", Version{})
	if d := cmp.Diff([]string{"ap", "eu"}, got); d != "" || len(skipped) > 0 {
		t.Error(d, skipped)
	}
	users := map[string]string{"users.yaml": "users:\n- name: remote-eu\n  role: remote\n- name: remote-us\n- name: admin-us\n"}
	got, err := PeersFromRemoteUsers(users, "us")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"eu"}, got); d != "" {
		t.Error(d)
	}
	if _, err := PeersFromRemoteUsers(map[string]string{"users.yaml": "users: 7"}, "us"); err == nil {
		t.Error("no error for a users.yaml that is not a list")
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own     uint32
		ownMax  int
		peer    uint32
		peerMax int
		want    string
	}{
		"distinct":           {1, 255, 2, 255, ""},
		"zero":               {1, 255, 0, 255, "its cluster-id is 0"},
		"the client's zero":  {0, 255, 2, 255, "the client's cluster has cluster-id 0"},
		"both zero":          {0, 255, 0, 255, "the client's cluster has cluster-id 0"},
		"equal":              {1, 255, 1, 255, "the same as in the client's cluster"},
		"above":              {1, 255, 256, 511, "above max-connected-clusters 255"},
		"narrow to wide":     {1, 255, 2, 511, ""},
		"wide to narrow":     {1, 511, 2, 255, "max-connected-clusters is 255"},
		"wide to wide, high": {1, 511, 511, 511, ""},
	} {
		if got := Refusal(c.own, c.ownMax, c.peer, c.peerMax); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
