package target

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

var serviceForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

// SplitService reads SERVICE[:PORT]. The port may be a name.
func SplitService(s string) (host, port string, err error) {
	host, port, found := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(s, "service/"), "svc/"), ":")
	if !serviceForm.MatchString(host) || found && !serviceForm.MatchString(port) {
		return "", "", fmt.Errorf("%q is neither a URL nor SERVICE[:PORT]; a URL starts with http://", s)
	}
	return host, port, nil
}

// ByAddress finds the Service that has a cluster IP in the client's cluster.
func ByAddress(snap *routing.Snapshot, client, host string) (routing.Key, bool) {
	addr, err := netip.ParseAddr(host)
	c := snap.Find(client)
	if err != nil || c == nil {
		return routing.Key{}, false
	}
	for key, svc := range c.Services {
		for _, ip := range svc.ClusterIPs {
			if ip == addr.Unmap() {
				return key, true
			}
		}
	}
	return routing.Key{}, false
}

// URL returns the URL of a Service that the user typed as SERVICE[:PORT]. Without a port it uses the only port, else for http the port with the
// name http or the number 80. scheme is http or tcp.
func URL(snap *routing.Snapshot, clients []string, key routing.Key, scheme, target string) (request.Target, error) {
	host, port, err := SplitService(target)
	if err != nil {
		return request.Target{}, err
	}
	if _, err := strconv.Atoi(port); err == nil {
		return request.ParseTarget(scheme + "://" + host + ":" + port)
	}
	var svc *routing.Service
	for _, name := range clients {
		if c := snap.Find(name); c != nil && c.Services[key] != nil {
			svc = c.Services[key]
			break
		}
	}
	if svc == nil {
		return request.Target{}, fmt.Errorf("service %q not found in namespace %q of cluster %s", key.Name, key.Namespace, strings.Join(clients, ", "))
	}
	var names []string
	chosen := int32(0)
	for _, p := range svc.Ports {
		if p.Protocol != "TCP" && p.Protocol != "" {
			continue
		}
		names = append(names, strings.TrimPrefix(p.Name+":", ":")+strconv.Itoa(int(p.Port)))
		if port != "" && p.Name == port || port == "" && scheme == "http" && (p.Name == "http" || p.Port == 80) {
			chosen = p.Port
		}
	}
	if port == "" && len(names) == 1 {
		for _, p := range svc.Ports {
			if p.Protocol == "TCP" || p.Protocol == "" {
				chosen = p.Port
			}
		}
	}
	switch {
	case chosen == 0 && port != "":
		return request.Target{}, fmt.Errorf("service %s has no TCP port named %q; it has %s", key, port, strings.Join(names, ", "))
	case len(names) == 0:
		return request.Target{}, fmt.Errorf("service %s has no TCP port", key)
	case chosen == 0:
		return request.Target{}, fmt.Errorf("service %s has several TCP ports; choose one as %s:PORT (%s)", key, host, strings.Join(names, ", "))
	case chosen == 80 && scheme == "http":
		return request.ParseTarget("http://" + host)
	}
	return request.ParseTarget(fmt.Sprintf("%s://%s:%d", scheme, host, chosen))
}
