package request

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Methods are the HTTP methods that a probe sends. The methods after HEAD may change something on the server.
var Methods = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

// MaxData is the maximum size of the data of one request. curl reads it from a configuration with lines of at most 100 KiB.
const MaxData = 32 << 10

// ParseData checks the data that each request sends. method is that of the request.
func ParseData(data []byte, method string) error {
	switch {
	case method == "GET" || method == "HEAD" || method == "OPTIONS":
		return fmt.Errorf("a %s request has no data; use --method POST, PUT, PATCH or DELETE", method)
	case len(data) > MaxData:
		return fmt.Errorf("has more than %d KiB", MaxData>>10)
	case bytes.IndexByte(data, 0) >= 0:
		return fmt.Errorf("contains a NUL byte, which a shell in the pod cannot pass on")
	}
	return nil
}

// Resolve makes a host name refer to an address, without DNS.
type Resolve struct {
	Host    string
	Port    int32
	Address netip.Addr
}

// IsZero reports whether there is no Resolve.
func (r Resolve) IsZero() bool { return r.Host == "" }

// ParseResolve reads HOST:PORT:ADDRESS, which must have the host and the port of the URL.
func ParseResolve(raw string, url Target) (Resolve, error) {
	host, rest, ok := strings.Cut(raw, ":")
	port, text, ok2 := strings.Cut(rest, ":")
	number, err := strconv.ParseUint(port, 10, 16)
	if !ok || !ok2 || host == "" || err != nil || number == 0 {
		return Resolve{}, fmt.Errorf("%q: must be HOST:PORT:ADDRESS", raw)
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil || address.Zone() != "" {
		return Resolve{}, fmt.Errorf("%q: %q is not an IP address", raw, text)
	}
	if !strings.EqualFold(host, url.Host()) || int32(number) != url.Port() {
		return Resolve{}, fmt.Errorf("%q: host and port must be those of the URL, %s:%d", raw, url.Host(), url.Port())
	}
	return Resolve{Host: host, Port: int32(number), Address: address}, nil
}
