package node

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables/expr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

func TestDropped(t *testing.T) {
	t.Parallel()
	us, eu := netip.MustParsePrefix("10.200.1.0/24"), netip.MustParsePrefix("10.200.2.0/24")
	for name, tc := range map[string]struct {
		faults podwire.Faults
		want   [][]expr.Any
	}{
		"nothing": {},
		"a cut is in both directions": {
			podwire.Faults{Cuts: [][2]string{{us.String(), eu.String()}}},
			[][]expr.Any{
				concat(inRange(offsetSrc, us), inRange(offsetDst, eu)),
				concat(inRange(offsetSrc, eu), inRange(offsetDst, us)),
			},
		},
		"nobody reaches what is dead, and it reaches nobody": {
			podwire.Faults{Dead: []string{eu.String()}},
			[][]expr.Any{inRange(offsetSrc, eu), inRange(offsetDst, eu)},
		},
	} {
		got, err := dropped(&tc.faults)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, bad := range []podwire.Faults{{Cuts: [][2]string{{us.String(), ""}}}, {Dead: []string{"eu"}}} {
		if _, err := dropped(&bad); err == nil {
			t.Errorf("no error for %v", bad)
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	eu := netip.MustParsePrefix("10.200.2.0/24")
	got, err := within([]string{eu.String()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]expr.Any{concat(inRange(offsetSrc, eu), inRange(offsetDst, eu))}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := within([]string{"eu"}); err == nil {
		t.Error("no error for a range that does not parse")
	}
}
