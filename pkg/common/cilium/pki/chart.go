package pki

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// What chart 1.20 changes about certificates.
// Source: templates/clustermesh-apiserver/_helpers.tpl, values.yaml and Documentation/operations/upgrade-current.inc (1.20.2, read).
const (
	// MinorOneYear is the minor version of the chart from which leaf certificates of Cluster Mesh are valid for one year by default, as those of Hubble are
	// since 1.16, and from which certgen refuses a CA that ends before them.
	MinorOneYear = 20
	// OneYear is that validity.
	OneYear = 365 * 24 * time.Hour
	// nameUntil119 is in the server certificates of charts up to 1.19 only.
	nameUntil119 = "clustermesh-apiserver.cilium.io"
)

// LostNames lists the host names by which a client connects to a server and which the server's certificate covers now, but not any more when chart 1.20
// issues it. Extra names stay: the former values are still used.
func LostNames(client, server Side) []string {
	peer, configured := client.Peers[server.Name]
	listener := server.listener()
	if !configured || len(listener.cert.certs) == 0 {
		return nil
	}
	hosts, err := hostsOf(peer.Endpoints)
	if err != nil {
		return nil
	}
	have := listener.cert.certs[0]
	next := &x509.Certificate{IPAddresses: have.IPAddresses, DNSNames: []string{fmt.Sprintf("clustermesh-apiserver.%s.svc", server.Namespace), "*." + meshDomain}}
	for _, name := range have.DNSNames {
		if name != nameUntil119 {
			next.DNSNames = append(next.DNSNames, name)
		}
	}
	return slices.DeleteFunc(hosts, func(host string) bool { return have.VerifyHostname(host) != nil || next.VerifyHostname(host) == nil })
}
