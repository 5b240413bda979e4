package cilium

import "testing"

func TestPolicyDefaultLocal(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		set            *bool
		version        string
		value, certain bool
	}{
		"1.17 has no such setting": {&yes, "1.17.9", false, true},
		"1.18 by default":          {nil, "1.18.11", false, true},
		"1.18, set":                {&yes, "1.18.11", true, true},
		"1.19 by default":          {nil, "1.19.0", true, true},
		"1.19, unset":              {&no, "1.19.7", false, true},
		"unknown version":          {nil, "latest", true, false},
		"unknown version, set":     {&no, "latest", false, true},
	} {
		value, certain := PolicyDefaultLocal(Config{PolicyDefaultLocalCluster: c.set}, ParseVersion(c.version))
		if value != c.value || certain != c.certain {
			t.Errorf("%s: %v, %v", name, value, certain)
		}
	}
}

func TestNameProblem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cluster          string
		id               uint32
		version          string
		problem, refused bool
	}{
		"good":               {"us-1", 1, "1.20.2", false, false},
		"dotted":             {"a.b", 1, "1.20.2", true, true},
		"dotted on 1.16":     {"a.b", 1, "1.16.19", true, false},
		"dotted, who knows":  {"a.b", 1, "x", true, false},
		"long":               {"a23456789b23456789c23456789d23456", 1, "1.17.0", true, true},
		"default":            {"default", 1, "1.20.2", true, true},
		"default on 1.16":    {"default", 1, "1.16.19", true, true},
		"default, who knows": {"default", 1, "x", true, true},
		"default without id": {"default", 0, "1.20.2", false, false},
	} {
		if problem, refused := NameProblem(c.cluster, c.id, ParseVersion(c.version)); (problem != "") != c.problem || refused != c.refused {
			t.Errorf("%s: %q, refused %v", name, problem, refused)
		}
	}
}

func TestValidMaxClusters(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{0: false, 254: false, 255: true, 256: false, 511: true, 512: false} {
		if got := ValidMaxClusters(n); got != want {
			t.Errorf("%d: %v", n, got)
		}
	}
}

func TestIDProblem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data    map[string]string
		problem bool
		refused bool
	}{
		"in range":            {map[string]string{"cluster-id": "255"}, false, false},
		"above":               {map[string]string{"cluster-id": "256"}, true, true},
		"above, allowed":      {map[string]string{"cluster-id": "256", "allow-unsafe-policy-skb-usage": "true"}, true, true},
		"128 on ENI":          {map[string]string{"cluster-id": "128", "ipam": "eni"}, true, true},
		"128 on Alibaba":      {map[string]string{"cluster-id": "128", "ipam": "alibabacloud"}, true, true},
		"128 with chaining":   {map[string]string{"cluster-id": "128", "cni-chaining-mode": "aws-cni"}, true, true},
		"127 on ENI":          {map[string]string{"cluster-id": "127", "ipam": "eni"}, false, false},
		"128 on ENI, allowed": {map[string]string{"cluster-id": "128", "ipam": "eni", "allow-unsafe-policy-skb-usage": "true"}, true, false},
		"384 on ENI, allowed": {map[string]string{"cluster-id": "384", "max-connected-clusters": "511", "ipam": "eni", "allow-unsafe-policy-skb-usage": "1"}, true, false},
	} {
		config, err := ParseConfig(c.data)
		if err != nil {
			t.Fatal(err)
		}
		if problem, refused := IDProblem(config); (problem != "") != c.problem || refused != c.refused {
			t.Errorf("%s: %q, refused %v", name, problem, refused)
		}
	}
}

func TestDatapath(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data map[string]string
		mode string
		host bool
	}{
		"nothing set":     {nil, "tunnel (vxlan, port 8472)", false},
		"geneve":          {map[string]string{"tunnel-protocol": "geneve"}, "tunnel (geneve, port 6081)", false},
		"native":          {map[string]string{"routing-mode": "native", "tunnel-protocol": "vxlan"}, "native", false},
		"socketLB":        {map[string]string{"bpf-lb-sock": "true"}, "tunnel (vxlan, port 8472)", true},
		"socketLB, pods":  {map[string]string{"bpf-lb-sock": "true", "bpf-lb-sock-hostns-only": "false"}, "tunnel (vxlan, port 8472)", true},
		"no socketLB":     {map[string]string{"bpf-lb-sock": "false", "bpf-lb-sock-hostns-only": "true"}, "tunnel (vxlan, port 8472)", false},
		"hosts alone":     {map[string]string{"bpf-lb-sock-hostns-only": "true"}, "tunnel (vxlan, port 8472)", false},
		"socketLB, hosts": {map[string]string{"bpf-lb-sock": "true", "bpf-lb-sock-hostns-only": "true", "tunnel-port": "0"}, "tunnel (vxlan, port 8472)", true},
	} {
		got, err := ParseConfig(c.data)
		if err != nil || got.Mode() != c.mode || got.HostSocketLB != c.host {
			t.Errorf("%s: %q, %v, %v", name, got.Mode(), got.HostSocketLB, err)
		}
	}
}
