package drill

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

func TestParseExpectations(t *testing.T) {
	t.Parallel()
	got, err := ParseExpectations([]string{"failover<2s, errors<1%", "errors=0%"})
	if err != nil || len(got) != 3 || got[0].failover != 2*time.Second || got[1].errors != 0.01 || !got[2].none {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "failover<", "failover<0s", "failover<-1s", "failover<2", "failover>2s", "errors<0%", "errors<101%", "errors<1", "errors<NaN%", "errors=1%", "us=50%", "failover<2s,"} {
		if got, err := ParseExpectations([]string{bad}); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func FuzzParseExpectations(f *testing.F) {
	f.Add("failover<2s,errors<1%")
	f.Add("errors=0%")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseExpectations([]string{s})
		for _, e := range got {
			if err == nil && e.failover <= 0 && !(e.errors > 0 && e.errors <= 1) && !e.none {
				t.Errorf("%q: %+v", s, e)
			}
		}
	})
}

func TestChecks(t *testing.T) {
	t.Parallel()
	client := func(failover, resolution float64, recovered bool) observation {
		return observation{DrillClient: v1alpha1.DrillClient{Name: "us/n1", Cluster: "us", Affected: true, Complete: true, FailoverMs: &failover, ResolutionMs: &resolution, Recovered: &recovered,
			FollowedMs: ptr.To(100.0), During: v1alpha1.DrillPhase{Requests: 500, Errors: 5}}}
	}
	dropped := func(errors, dropped int) observation {
		o := client(0, 20, true)
		o.During.Errors, o.dropped = errors, dropped
		return o
	}
	downAgain := client(800, 20, true)
	downAgain.tail = tail{before: endFailed}
	part := client(500, 20, true)
	part.Complete = false
	silent := client(500, 20, true)
	silent.During = v1alpha1.DrillPhase{}
	for name, c := range map[string]struct {
		client observation
		expr   string
		want   string
	}{
		"below":                   {client(1500, 20, true), "failover<2s", "PASS"},
		"above":                   {client(2500, 20, true), "failover<2s", "FAIL"},
		"just above":              {client(2010, 20, true), "failover<2s", "INCONCLUSIVE"},
		"just below":              {client(1999, 20, true), "failover<2s", "PASS"},
		"not over, below":         {client(1500, 20, false), "failover<2s", "INCONCLUSIVE"},
		"not over, above already": {client(2500, 20, false), "failover<2s", "FAIL"},
		"over, then down again":   {downAgain, "failover<2s", "INCONCLUSIVE"},
		"errors, below":           {client(0, 20, true), "errors<2%", "PASS"},
		"errors, at the limit":    {client(0, 20, true), "errors<1%", "FAIL"},
		"errors, some":            {client(0, 20, true), "errors=0%", "FAIL"},
		"not sent, few":           {dropped(5, 2), "errors<2%", "PASS"},
		"not sent, many":          {dropped(5, 50), "errors<2%", "INCONCLUSIVE"},
		"not sent, and none":      {dropped(0, 1), "errors=0%", "INCONCLUSIVE"},
		"not sent, missed anyway": {dropped(50, 50), "errors<2%", "FAIL"},
		"incomplete":              {part, "failover<2s", "INCONCLUSIVE"},
		"incomplete and missed":   {part, "failover<200ms", "FAIL"},
		"nothing was sent":        {silent, "failover<2s", "INCONCLUSIVE"},
	} {
		expect, err := ParseExpectations([]string{c.expr})
		if err != nil {
			t.Fatal(err)
		}
		got := checks([]observation{c.client}, expect, marks{cluster: "us", with: drillrecord.Evict})
		if len(got) != 1 || got[0].Result != c.want || got[0].Client != "us/n1" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	unaffected := client(5000, 20, true)
	unaffected.Affected = false
	if got := checks([]observation{unaffected}, []Expectation{{expr: "failover<1s", failover: time.Second}}, marks{cluster: "us", with: drillrecord.Scale}); len(got) != 0 {
		t.Errorf("a client that the drill does not affect is judged: %+v", got)
	}
	stuck := client(20, 20, true)
	stuck.FollowedMs, stuck.tail = nil, tail{before: endOwn}
	if got := checks([]observation{stuck}, nil, marks{cluster: "us", with: drillrecord.Scale}); len(got) != 1 || got[0].Result != "FAIL" {
		t.Errorf("a client that still uses the drilled cluster: %+v", got)
	}
	stuck.tail.before = endUnknown
	if got := checks([]observation{stuck}, nil, marks{cluster: "us", with: drillrecord.Scale}); got[0].Result != "INCONCLUSIVE" {
		t.Errorf("nobody knows who answered: %+v", got)
	}
}
