// Package witness reads the tables of backends from which the agents on the clients' nodes balance, and compares them with the prediction and
// with the traffic. So a difference can be assigned to a layer: what Kubernetes' API says, what the agent has written for the datapath, or
// what the datapath does.
//
// Parsing and comparing are pure.
package witness

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Frontend is an address of a Service, as the datapath looks it up.
type Frontend struct {
	Addr     netip.AddrPort
	Protocol string // TCP, UDP, SCTP or ANY
	// Internal is the scope of a Service whose internalTrafficPolicy or externalTrafficPolicy is Local: clients in the cluster have their own backends then.
	Internal bool
}

// Table is the backends of each frontend, sorted.
type Table map[Frontend][]netip.AddrPort

// Parse reads what `cilium-dbg bpf lb list -o json` prints (slots) and what it prints with --frontends (counts). Both have one key for each slot of a
// frontend. Slot 0 is the frontend itself: with --frontends its value has the number of backends that are used. Slots behind these hold backends that
// are terminating or quarantined, from which the datapath does not choose. Source: cilium-dbg/cmd/bpf_lb_list.go, Service4Key.String, Service4Value.String
// and the reconciler (activeCount, inactiveCount) of Cilium 1.18.11, 1.19.7 and 1.20.2.
//
//	{"172.20.1.5:80/TCP (0)": ["0.0.0.0:0 (3) (0) [ClusterIP, non-routable] "], "172.20.1.5:80/TCP (1)": ["10.1.0.7:80/TCP (3) (1)"]}
//	{"172.20.1.5:80/TCP (0)": ["0 1[0] (3) [0x0 0x0]"], "172.20.1.5:80/TCP (1)": ["9 0[0] (3) [0x0 0x0]"]}
func Parse(slots, counts []byte) (Table, error) {
	used, err := parseCounts(counts)
	if err != nil {
		return nil, err
	}
	t := Table{}
	err = eachSlot(slots, func(fe Frontend, slot int, entries []string) error {
		if _, known := t[fe]; !known {
			t[fe] = nil // a frontend without backends has slot 0 only
		}
		if most, known := used[fe]; slot == 0 || known && slot > most {
			return nil
		}
		for _, e := range entries {
			if strings.HasSuffix(e, notFound) {
				continue
			}
			b, err := parseBackend(e)
			if err != nil {
				return fmt.Errorf("backend %q: %w", e, err)
			}
			t[fe] = append(t[fe], b)
		}
		return nil
	})
	for fe := range t {
		slices.SortFunc(t[fe], compareAddrs)
	}
	return t, err
}

// eachSlot calls do for each slot of each frontend.
func eachSlot(raw []byte, do func(fe Frontend, slot int, entries []string) error) error {
	var all map[string][]string
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("the output of cilium-dbg bpf lb list is not JSON: %w", err)
	}
	if all == nil {
		return errors.New("the output of cilium-dbg bpf lb list is empty")
	}
	for key, entries := range all {
		fe, slot, err := parseKey(key)
		if err == nil {
			err = do(fe, slot, entries)
		}
		if err != nil {
			return fmt.Errorf("cilium-dbg bpf lb list: frontend %q: %w", key, err)
		}
	}
	return nil
}

// counted is the value of slot 0 with --frontends: BACKENDID COUNT[QUARANTINED] (REVNAT) [FLAGS].
var counted = regexp.MustCompile(`^\d+ (\d+)\[\d+\] \(`)

// parseCounts reads how many slots of each frontend are used.
func parseCounts(raw []byte) (map[Frontend]int, error) {
	out := map[Frontend]int{}
	err := eachSlot(raw, func(fe Frontend, slot int, entries []string) error {
		if slot != 0 {
			return nil
		}
		for _, e := range entries {
			m := counted.FindStringSubmatch(e)
			if m == nil {
				return fmt.Errorf("%q has no number of backends", e)
			}
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return err
			}
			out[fe] = n
		}
		return nil
	})
	return out, err
}

// notFound ends an entry whose backend was removed between the reading of the two maps: "backend 7 not found".
const notFound = " not found"

func compareAddrs(a, b netip.AddrPort) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
}

// parseKey reads ADDRESS:PORT/PROTOCOL[/i] (SLOT).
func parseKey(s string) (fe Frontend, slot int, err error) {
	address, rest, ok := strings.Cut(s, " (")
	number, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return fe, 0, errors.New("it has no slot")
	}
	if slot, err = strconv.Atoi(number); err != nil || slot < 0 {
		return fe, 0, fmt.Errorf("%q is not a slot", number)
	}
	parts := strings.Split(address, "/")
	fe.Protocol = "ANY"
	switch {
	case len(parts) > 3, len(parts) == 3 && parts[2] != "i":
		return fe, 0, errors.New("it is not ADDRESS:PORT/PROTOCOL")
	case len(parts) == 3:
		fe.Internal = true
		fallthrough
	case len(parts) == 2:
		fe.Protocol = parts[1]
	}
	fe.Addr, err = netip.ParseAddrPort(parts[0])
	fe.Addr = plain(fe.Addr)
	return fe, slot, err
}

// parseBackend reads ADDRESS:PORT/PROTOCOL (REVNAT) (SLOT).
func parseBackend(s string) (netip.AddrPort, error) {
	address, _, _ := strings.Cut(s, " ")
	address, _, _ = strings.Cut(address, "/")
	got, err := netip.ParseAddrPort(address)
	return plain(got), err
}

// plain removes the IPv4-mapped form.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Backends returns the backends for clients in the cluster of the agent, and whether the agent has the frontend at all.
func (t Table) Backends(addr netip.AddrPort, protocol string) (backends []netip.AddrPort, found bool) {
	addr = plain(addr)
	for _, internal := range []bool{true, false} {
		for _, p := range []string{protocol, "ANY"} {
			if b, ok := t[Frontend{Addr: addr, Protocol: p, Internal: internal}]; ok {
				return b, true
			}
		}
	}
	return nil, false
}
