package clusters

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// TestField17RegionsAreNoNames lists names of entries, and the clusters that they name.
func TestField17RegionsAreNoNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"kind-eu": {"eu"}, "EU": {"eu"}, "eu1": nil, "feu": nil, "eu-us": {"eu", "us"}, "prod-eu": {"prod-eu"}, "prod": {"prod"},
		"arn:aws:eks:eu-west-1:123456789012:cluster/us": {"us"}, "gke_us_europe-west1-b_eu": {"eu"}, "admin@us.eu-central-1.eksctl.io": {"us"},
		"clusterUser_eu_us": {"eu", "us"}, "us-gov-west-1/eu": {"eu"},
	} {
		got := entry{names: []string{name}}.mentions([]string{"us", "eu", "prod", "prod-eu"})
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestOneAddressBehindTwoProxies: 10.0.0.1 or 127.0.0.1 is another API server behind another proxy. A context that does not answer must stay a member
// with an error there: dropped as a second context of the cluster that answers, it would make the mesh look complete.
func TestOneAddressBehindTwoProxies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		us, eu string
		want   []string
	}{
		"no proxy":    {want: []string{"us"}},
		"one proxy":   {us: "socks5://a:1080", eu: "socks5://a:1080", want: []string{"us"}},
		"two proxies": {us: "socks5://a:1080", eu: "socks5://b:1080", want: []string{"us", "eu"}},
		"only one":    {us: "socks5://a:1080", want: []string{"us", "eu"}},
	} {
		member := func(context, proxy string, class failure.Class) *Member {
			cfg := clientcmdapi.NewConfig()
			cfg.Contexts[context] = &clientcmdapi.Context{Cluster: context}
			cfg.Clusters[context] = &clientcmdapi.Cluster{Server: "https://10.0.0.1:6443", ProxyURL: proxy}
			m := &Member{Name: context, Context: context, entry: candidate{context: context, config: cfg}.entry()}
			if class != "" {
				m.Err = &failure.Error{Class: class, Err: errors.New("no answer")}
			}
			return m
		}
		var got []string
		for _, m := range collapse([]*Member{member("us", tc.us, ""), member("eu", tc.eu, failure.Timeout)}, "us", nil, &Warnings{}) {
			got = append(got, m.Context)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
