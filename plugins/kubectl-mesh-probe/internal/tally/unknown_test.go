package tally

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// A pod that starts during the run sends more replies than can be kept. All of them are attributed at the end.
func TestField19PodsThatStartLater(t *testing.T) {
	t.Parallel()
	tally := New(mesh)
	date := func(n int) string { return time.Unix(int64(n), 0).UTC().Format("Date: Mon, 02 Jan 2006 15:04:05 GMT") }
	for n := range 20000 {
		tally.Add(reply.Reply{Status: 200, Header: []string{date(n)}, Body: []byte("Hello from nginx-a")}, origin.Match{})
		tally.Add(reply.Reply{Status: 503, Class: reply.Class5xx, Header: []string{date(n), "X-Pod: nginx-aa"}}, origin.Match{})
		tally.Add(reply.Reply{Status: 200, Header: []string{date(n)}, Body: []byte("ok")}, origin.Match{})
	}
	id, err := origin.Parse("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	tally.Reattribute(id.WithTokens(origin.NewTokens(meshtest.Snapshot())), func(int, origin.Match) {})
	rows := map[string]*Row{}
	for _, r := range tally.Rows(mesh) {
		rows[r.Name] = r
	}
	if us := rows["us"]; us.Requests != 20000 || us.Errors != 0 {
		t.Errorf("us: %d requests, %d errors", us.Requests, us.Errors)
	}
	if eu := rows["eu"]; eu.Requests != 20000 || eu.Errors != 20000 {
		t.Errorf("eu: %d requests, %d errors", eu.Requests, eu.Errors)
	}
	if tally.Unknown != 20000 || tally.UnknownErrors != 0 || tally.Requests != 60000 || tally.Recognized[origin.ByPod] != 40000 {
		t.Errorf("%d unknown, %d of them errors, %v", tally.Unknown, tally.UnknownErrors, tally.Recognized)
	}
	if samples := tally.UnknownSamples(5); len(samples) != 1 || samples[0] != (UnknownSample{20000, "ok"}) {
		t.Errorf("%+v", samples)
	}
}

// The size of kept replies is limited. Replies that are not kept stay counted.
func TestField19Bounded(t *testing.T) {
	t.Parallel()
	tally := New(mesh)
	const n = 3 * maxUnknownGroups
	for i := range n {
		tally.Add(reply.Reply{Status: 200, Body: fmt.Appendf(nil, "request %d", i)}, origin.Match{})
	}
	if len(tally.unknown.groups) != maxUnknownGroups || tally.Unknown != n {
		t.Errorf("%d groups, %d unknown", len(tally.unknown.groups), tally.Unknown)
	}
	big := New(mesh)
	for i := range 3000 {
		big.Add(reply.Reply{Status: 200, Body: []byte(strings.Repeat("x", 16<<10) + fmt.Sprint(i))}, origin.Match{})
	}
	if kept := len(big.unknown.groups) * 16 << 10; kept > maxUnknownBytes || kept < maxUnknownBytes/2 {
		t.Errorf("%d bytes kept", kept)
	}
	// Attributed replies make room again.
	id, err := origin.Parse("body=request (\\d+)", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	tally.Reattribute(id, func(int, origin.Match) {})
	if tally.Unknown != n-maxUnknownGroups || tally.unknown.bytes != 0 {
		t.Errorf("%d unknown, %d bytes", tally.Unknown, tally.unknown.bytes)
	}
}

// The 503 of a proxy is a reply with an unknown sender. A refused connection is not a reply.
func TestFieldDRowsAreNamedForWhatTheyHold(t *testing.T) {
	t.Parallel()
	tally := New(mesh)
	add := func(n int, r reply.Reply, from origin.Match) {
		for range n {
			tally.Add(r, from)
		}
	}
	add(1, reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByPod})
	add(2, reply.Reply{Status: 200, Body: []byte("ok")}, origin.Match{})
	add(3, reply.Reply{Status: 503, Class: reply.Class5xx}, origin.Match{})
	add(4, reply.Reply{Class: reply.ClassRefused}, origin.Match{})
	if tally.Unknown != 5 || tally.UnknownErrors != 3 || tally.NoAnswer != 4 || tally.Answered() != 6 || tally.Unattributed() != 9 || tally.UnattributedErrors() != 7 {
		t.Errorf("%+v", tally)
	}
}

// A connection counts as answered. Unknown ones are kept by the address of their socket, and attributed when it is known.
func TestConnections(t *testing.T) {
	t.Parallel()
	tally := New(mesh)
	for range 3 {
		tally.Add(reply.Reply{Connected: true, Peer: netip.MustParseAddrPort("10.96.0.1:5432")}, origin.Match{})
	}
	tally.Add(reply.Reply{Connected: true, Peer: netip.MustParseAddrPort("10.7.7.7:5432")}, origin.Match{})
	tally.Add(reply.Reply{Connected: true}, origin.Match{})
	tally.Add(reply.Reply{Class: reply.ClassRefused}, origin.Match{})
	if tally.Requests != 6 || tally.Answered() != 5 || tally.Unknown != 5 || tally.NoAnswer != 1 || tally.Failed() != 1 {
		t.Errorf("%+v", tally)
	}
	snap, key := meshtest.Snapshot()
	for _, svc := range snap.Clusters[0].Services {
		svc.Endpoints[0].Addr = netip.MustParseAddr("10.7.7.7")
	}
	id, err := origin.Parse("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	tally.Reattribute(id.WithTokens(origin.NewTokens(snap, key)), func(int, origin.Match) {})
	if name := snap.Clusters[0].Name; tally.Count(name) != 1 || tally.Unknown != 4 || tally.Recognized[origin.BySocket] != 1 {
		t.Errorf("%+v, %d of %s", tally, tally.Count(name), name)
	}
	samples := tally.UnknownSamples(5)
	if len(samples) != 2 || samples[0] != (UnknownSample{3, "10.96.0.1:5432"}) || samples[1] != (UnknownSample{1, ""}) {
		t.Errorf("%+v", samples)
	}
}
