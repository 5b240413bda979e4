package clusters

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
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
