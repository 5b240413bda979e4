package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

func gated(c *routing.Cluster) {
	c.Namespaces["default"] = map[string]string{cilium.AnnotationNamespaceGlobal: "false"}
}

// datapath reads settings of cilium-config that say how packets travel.
func datapath(data map[string]string) func(*cilium.Config) {
	return func(c *cilium.Config) {
		if parsed, err := cilium.ParseConfig(data); err == nil {
			c.Datapath = parsed.Datapath
		}
	}
}

func set300(name string) meshtest.Cluster {
	return meshtest.Cluster{Name: name, Config: func(c *cilium.Config) { c.MaxConnectedClusters = 300 }}
}

// TestAllowedID: an id that the agents refuse is a warning where they are told not to.
func TestAllowedID(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[bool]finding.Severity{false: finding.Error, true: finding.Warning} {
		_, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu", Config: func(c *cilium.Config) { c.ClusterID, c.IPAM, c.UnsafePolicyMarks = 128, "eni", allowed }})
		if fs := Clusters(members); len(fs) != 1 || fs[0].Severity != string(want) || strings.Contains(fs[0].Message, "allow-unsafe") != allowed {
			t.Errorf("allowed %v: %+v", allowed, fs)
		}
	}
}

func TestClusters(t *testing.T) {
	t.Parallel()
	us := meshtest.Cluster{Name: "us"}
	set := func(f func(*cilium.Config)) meshtest.Cluster { return meshtest.Cluster{Name: "eu", Config: f} }
	cases := map[string]struct {
		mesh []meshtest.Cluster
		edit func([]*clusters.Member)
		want []string
	}{
		"nothing is wrong":       {[]meshtest.Cluster{us, {Name: "eu"}}, nil, nil},
		"equal ids":              {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID = 1 })}, nil, []string{"SVC030 us,eu"}},
		"id 0":                   {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID = 0 })}, nil, []string{"SVC030 eu"}},
		"equal names":            {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterName = "us" })}, nil, []string{"SVC031 us,eu"}},
		"no name":                {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterName = "default" })}, nil, []string{"SVC040 eu"}},
		"neither name nor id":    {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterName, c.ClusterID = "default", 0 })}, nil, []string{"SVC030 eu", "SVC031 eu"}},
		"no name on 1.16":        {[]meshtest.Cluster{{Name: "us", Version: "1.16.9"}, {Name: "eu", Version: "1.16.9", Config: func(c *cilium.Config) { c.ClusterName = "default" }}}, nil, []string{"SVC040 eu"}},
		"max clusters":           {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.MaxConnectedClusters = 511 })}, nil, []string{"SVC032 us,eu"}},
		"one minor apart":        {[]meshtest.Cluster{{Name: "us", Version: "1.19.6"}, {Name: "eu", Version: "1.20.2"}}, nil, nil},
		"two minors apart":       {[]meshtest.Cluster{{Name: "us", Version: "1.16.9"}, {Name: "eu"}}, nil, []string{"SVC033 us,eu"}},
		"unknown version":        {[]meshtest.Cluster{us, {Name: "eu", Version: "latest"}}, nil, nil},
		"one-sided":              {[]meshtest.Cluster{us, {Name: "eu"}}, func(ms []*clusters.Member) { ms[1].Peers = nil }, []string{"SVC034 us,eu"}},
		"peers not known":        {[]meshtest.Cluster{us, {Name: "eu"}}, func(ms []*clusters.Member) { ms[1].Peers, ms[1].PeersKnown = nil, false }, nil},
		"one is not read":        {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID = 1 })}, func(ms []*clusters.Member) { ms[1].Err = &failure.Error{Class: failure.Timeout} }, nil},
		"modes differ":           {[]meshtest.Cluster{{Name: "us", Config: datapath(nil)}, set(datapath(map[string]string{"routing-mode": "native"}))}, nil, []string{"SVC039 us,eu"}},
		"protocols differ":       {[]meshtest.Cluster{{Name: "us", Config: datapath(nil)}, set(datapath(map[string]string{"tunnel-protocol": "geneve"}))}, nil, []string{"SVC039 us,eu"}},
		"protocols nobody uses":  {[]meshtest.Cluster{{Name: "us", Config: datapath(map[string]string{"routing-mode": "native"})}, set(datapath(map[string]string{"routing-mode": "native", "tunnel-protocol": "geneve"}))}, nil, nil},
		"the default port":       {[]meshtest.Cluster{{Name: "us", Config: datapath(nil)}, set(datapath(map[string]string{"tunnel-port": "8472"}))}, nil, nil},
		"another port":           {[]meshtest.Cluster{{Name: "us", Config: datapath(nil)}, set(datapath(map[string]string{"tunnel-port": "8473"}))}, nil, []string{"SVC039 us,eu"}},
		"a long name":            {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterName = strings.Repeat("a", 33) })}, nil, []string{"SVC040 eu"}},
		"a name of 32":           {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterName = strings.Repeat("a", 32) })}, nil, nil},
		"a name with a dot":      {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterName = "a.b" })}, nil, []string{"SVC040 eu"}},
		"id above the limit":     {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID = 256 })}, nil, []string{"SVC041 eu"}},
		"id 128 on ENI":          {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM = 128, "eni" })}, nil, []string{"SVC041 eu"}},
		"id 128 on ENI, allowed": {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM, c.UnsafePolicyMarks = 128, "eni", true })}, nil, []string{"SVC041 eu"}},
		"id 127 on ENI":          {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM = 127, "eni" })}, nil, nil},
		"id 128 elsewhere":       {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.ClusterID, c.IPAM = 128, "cluster-pool" })}, nil, nil},
		"max 300":                {[]meshtest.Cluster{set300("us"), set300("eu")}, nil, []string{"SVC042 eu", "SVC042 us"}},
		"policies differ":        {[]meshtest.Cluster{us, set(func(c *cilium.Config) { c.PolicyDefaultLocalCluster = ptr.To(true) })}, nil, []string{"SVC044 us,eu"}},
		"policies by default":    {[]meshtest.Cluster{us, {Name: "eu", Version: "1.19.6"}}, nil, []string{"SVC044 us,eu"}},
		"equal policies":         {[]meshtest.Cluster{us, {Name: "eu", Version: "1.19.6", Config: func(c *cilium.Config) { c.PolicyDefaultLocalCluster = ptr.To(false) }}}, nil, nil},
		"three of one name":      {[]meshtest.Cluster{us, {Name: "eu", Config: func(c *cilium.Config) { c.ClusterName = "us" }}, {Name: "ap", Config: func(c *cilium.Config) { c.ClusterName = "us" }}}, nil, []string{"SVC031 us,eu,ap"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, members := meshtest.Build(c.mesh...)
			if c.edit != nil {
				c.edit(members)
			}
			if d := cmp.Diff(c.want, summary(Clusters(members))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMismatchWithoutPorts: a headless Service may have no ports, and the families of its endpoints differ.
func TestMismatchWithoutPorts(t *testing.T) {
	t.Parallel()
	m := mismatch{reason: "not used, it has no IPv4 endpoints", clients: []string{"us"}, remotes: []string{"eu"}}
	if got, want := m.message(), "clients in us: eu is not used, it has no IPv4 endpoints"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
