// Package dns answers the pods' questions about names: NAME.NAMESPACE.svc.cluster.local and the
// pods of headless Services, each in the view of the asker's own cluster, which is known
// by the asker's address. It knows no API server; the records come through an interface.
// Nothing outside cluster.local exists.
package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// Domain is the domain of all clusters.
const Domain = "cluster.local"

// ttl is CoreDNS's default for Kubernetes names.
const ttl = 5

// Service is what there is to say about a Service's name.
type Service struct {
	Addrs []netip.Addr
	// Hosts are the addresses of a headless Service's pods by host name.
	Hosts    map[string]netip.Addr
	External string // of a Service of type ExternalName
}

// Records looks a Service up as a cluster knows it.
type Records interface {
	Lookup(cluster, namespace, name string) (Service, bool)
}

// Zone is a cluster and where its pods ask from.
type Zone struct {
	Cluster string
	Pods    netip.Prefix
}

// Handler answers DNS questions.
type Handler struct {
	Zones   []Zone
	Records Records
}

// ServeDNS answers one question.
func (h *Handler) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	_ = w.WriteMsg(h.Answer(q, addrOf(w.RemoteAddr()))) // a client that is gone needs no answer
}

func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// Answer makes the reply to a question from an address.
func (h *Handler) Answer(q *dns.Msg, from netip.Addr) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative = true
	m.RecursionAvailable = true // else some resolvers complain
	i := slices.IndexFunc(h.Zones, func(z Zone) bool { return z.Pods.Contains(from) })
	if len(q.Question) != 1 || i < 0 {
		m.Rcode = dns.RcodeRefused
		return m
	}
	question := q.Question[0]
	name, ok := parse(question.Name)
	var svc Service
	if ok {
		svc, ok = h.Records.Lookup(h.Zones[i].Cluster, name.namespace, name.service)
	}
	addrs := svc.Addrs
	if ok && name.host != "" {
		var a netip.Addr
		if a, ok = svc.Hosts[name.host]; ok {
			addrs = []netip.Addr{a}
		}
	}
	if !ok {
		m.Rcode = dns.RcodeNameError
		m.Ns = []dns.RR{soa()}
		return m
	}
	if svc.External != "" {
		m.Answer = []dns.RR{&dns.CNAME{Hdr: header(question.Name, dns.TypeCNAME), Target: dns.Fqdn(svc.External)}}
		return m
	}
	for _, a := range shuffled(addrs) {
		switch {
		case question.Qtype == dns.TypeA && a.Is4():
			m.Answer = append(m.Answer, &dns.A{Hdr: header(question.Name, dns.TypeA), A: a.AsSlice()})
		case question.Qtype == dns.TypeAAAA && a.Is6():
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: header(question.Name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	if len(m.Answer) == 0 {
		// The name exists, but not with this type: musl and busybox would take NXDOMAIN for AAAA as the answer for A too.
		m.Ns = []dns.RR{soa()}
	}
	return m
}

// shuffled puts the addresses of a headless Service in random order, as CoreDNS's loadbalance plugin does.
func shuffled(addrs []netip.Addr) []netip.Addr {
	out := slices.Clone(addrs)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

type parsed struct{ host, service, namespace string }

// parse splits SERVICE.NAMESPACE.svc.cluster.local and HOST.SERVICE.NAMESPACE.svc.cluster.local.
func parse(name string) (parsed, bool) {
	rest, ok := strings.CutSuffix(strings.ToLower(dns.Fqdn(name)), ".svc."+Domain+".")
	if !ok {
		return parsed{}, false
	}
	labels := strings.Split(rest, ".")
	switch len(labels) {
	case 2:
		return parsed{service: labels[0], namespace: labels[1]}, true
	case 3:
		return parsed{host: labels[0], service: labels[1], namespace: labels[2]}, true
	}
	return parsed{}, false
}

func header(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: t, Class: dns.ClassINET, Ttl: ttl}
}

func soa() dns.RR {
	return &dns.SOA{
		Hdr: header(Domain+".", dns.TypeSOA), Ns: "ns.dns." + Domain + ".", Mbox: "hostmaster." + Domain + ".",
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}
}

// ResolvConf is the resolv.conf of a pod.
func ResolvConf(server, namespace string) string {
	return fmt.Sprintf("search %[2]s.svc.%[3]s svc.%[3]s %[3]s\nnameserver %[1]s\noptions ndots:5\n", server, namespace, Domain)
}

// Sockets opens sockets among the pods.
type Sockets interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
}

// Serve answers on port 53 of the addresses until the context ends. It returns as soon as it listens.
func Serve(ctx context.Context, h *Handler, sockets Sockets, addrs []string, log io.Writer) error {
	slices.Sort(addrs)
	for _, a := range slices.Compact(addrs) {
		address := net.JoinHostPort(a, "53")
		l, err := sockets.Listen(ctx, "tcp4", address)
		if err != nil {
			return fmt.Errorf("dns: listen on %s: %w", address, err)
		}
		p, err := sockets.ListenPacket(ctx, "udp4", address)
		if err != nil {
			return errors.Join(fmt.Errorf("dns: listen on %s: %w", address, err), l.Close())
		}
		if err := roomFor(p); err != nil {
			return errors.Join(fmt.Errorf("dns: %s: %w", address, err), l.Close(), p.Close())
		}
		for _, s := range []*dns.Server{{Listener: l, Handler: h}, {PacketConn: p, Handler: h}} {
			go func() {
				if err := s.ActivateAndServe(); err != nil && ctx.Err() == nil {
					_, _ = fmt.Fprintln(log, "dns:", err)
				}
			}()
			context.AfterFunc(ctx, func() { _ = s.Shutdown() }) // fails only if it never served
		}
	}
	return nil
}

// receiveBuffer holds the questions that arrive while the machine is busy with something else. A question that is dropped costs the asker
// five seconds, the resolvers' usual timeout.
const receiveBuffer = 8 << 20

// roomFor enlarges the receive buffer of a socket, beyond the machine's limit where this is allowed.
func roomFor(p net.PacketConn) error {
	c, ok := p.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); set != nil {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
	})
	return errors.Join(err, set)
}
