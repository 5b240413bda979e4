package probe

import (
	"net/netip"

	"k8s.io/client-go/rest"
)

func addrs(list ...string) []netip.Addr {
	out := make([]netip.Addr, len(list))
	for i, s := range list {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

func closedPort() *rest.Config { return &rest.Config{Host: "http://127.0.0.1:1"} }
