package cilium

import (
	"net/netip"
	"testing"
)

// TestField05Placeholder: the placeholder is an address and a port; neither alone is one.
func TestField05Placeholder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addr string
		port int32
		want bool
	}{
		{"192.192.192.192", 9999, true}, {"::ffff:192.192.192.192", 9999, true}, {"192.192.192.192", 80, false}, {"192.192.192.19", 9999, false}, {"198.51.100.7", 9999, false},
	} {
		if got := IsPlaceholder(netip.MustParseAddr(c.addr), c.port); got != c.want {
			t.Errorf("%s:%d: %v", c.addr, c.port, got)
		}
	}
}
