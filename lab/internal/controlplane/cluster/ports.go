package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// The range is below the kernel's ephemeral ports (32768 and up), so that no
// outgoing connection takes a port away while its cluster is stopped.
const (
	firstPort = 20000
	lastPort  = 29999
	tries     = 200
)

// FreePorts finds ports that nobody listens on at the moment.
type FreePorts struct {
	given map[string]bool
}

// Free returns a free port of address that was not returned before.
func (p *FreePorts) Free(address string) (int, error) {
	if p.given == nil {
		p.given = map[string]bool{}
	}
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		endpoint := net.JoinHostPort(address, strconv.Itoa(port))
		if p.given[endpoint] {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", endpoint)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, err
		}
		p.given[endpoint] = true
		return port, nil
	}
	return 0, errors.New("no free port found on " + address)
}
