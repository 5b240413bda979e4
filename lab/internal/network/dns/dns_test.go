package dns

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

type fakeRecords map[string]Service

func (f fakeRecords) Lookup(cluster, namespace, name string) (Service, bool) {
	s, ok := f[cluster+"/"+namespace+"/"+name]
	return s, ok
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr
	h := &Handler{
		Zones: []Zone{{"us", netip.MustParsePrefix("10.1.0.0/16")}, {"eu", netip.MustParsePrefix("10.2.0.0/16")}},
		Records: fakeRecords{
			"us/default/nginx":    {Addrs: []netip.Addr{ip("172.20.1.5")}},
			"eu/default/nginx":    {Addrs: []netip.Addr{ip("172.20.2.9")}},
			"us/default/headless": {Addrs: []netip.Addr{ip("10.1.1.2"), ip("10.1.1.3")}, Hosts: map[string]netip.Addr{"web-0": ip("10.1.1.2")}},
			"us/default/empty":    {},
			"us/default/other":    {External: "example.org"},
		},
	}
	tests := map[string]struct {
		from  string
		name  string
		qtype uint16
		rcode int
		want  []string
	}{
		"service":                       {"10.1.1.9", "nginx.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"172.20.1.5"}},
		"same name in another cluster":  {"10.2.1.9", "nginx.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"172.20.2.9"}},
		"case does not matter":          {"10.1.1.9", "NGINX.default.SVC.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"172.20.1.5"}},
		"AAAA of what exists":           {"10.1.1.9", "nginx.default.svc.cluster.local.", dns.TypeAAAA, dns.RcodeSuccess, nil},
		"unknown":                       {"10.1.1.9", "nope.default.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		"short name":                    {"10.1.1.9", "nginx.", dns.TypeA, dns.RcodeNameError, nil},
		"outside":                       {"10.1.1.9", "example.org.", dns.TypeA, dns.RcodeNameError, nil},
		"missing in the asker's":        {"10.2.1.9", "headless.default.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		"headless":                      {"10.1.1.9", "headless.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.1.1.2", "10.1.1.3"}},
		"pod of a headless service":     {"10.1.1.9", "web-0.headless.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.1.1.2"}},
		"unknown pod of one":            {"10.1.1.9", "web-7.headless.default.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		"headless without pods":         {"10.1.1.9", "empty.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, nil},
		"external name":                 {"10.1.1.9", "other.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"example.org."}},
		"asker in no cluster":           {"192.0.2.1", "nginx.default.svc.cluster.local.", dns.TypeA, dns.RcodeRefused, nil},
		"deeper than anything can be":   {"10.1.1.9", "a.b.nginx.default.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		"the domain itself has no host": {"10.1.1.9", "svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := new(dns.Msg)
			q.SetQuestion(tt.name, tt.qtype)
			m := h.Answer(q, netip.MustParseAddr(tt.from))
			if m.Rcode != tt.rcode {
				t.Errorf("code %s, want %s", dns.RcodeToString[m.Rcode], dns.RcodeToString[tt.rcode])
			}
			var got []string
			for _, rr := range m.Answer {
				switch rr := rr.(type) {
				case *dns.A:
					got = append(got, rr.A.String())
				case *dns.CNAME:
					got = append(got, rr.Target)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if negative := len(m.Answer) == 0 && m.Rcode != dns.RcodeRefused; negative != (len(m.Ns) == 1) {
				t.Errorf("a negative answer carries the SOA and no other does: %v", m.Ns)
			}
			if _, err := m.Pack(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	want := "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 172.20.1.10\noptions ndots:5\n"
	if diff := cmp.Diff(want, ResolvConf("172.20.1.10", "shop")); diff != "" {
		t.Error(diff)
	}
}
