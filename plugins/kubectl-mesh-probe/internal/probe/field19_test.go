package probe

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A pod that starts during the run answers more often than any number of replies that could be kept: all of them are attributed at the end.
func TestField19PodsThatStartLater(t *testing.T) {
	t.Parallel()
	tally := NewTally(mesh)
	date := func(n int) string { return time.Unix(int64(n), 0).UTC().Format("Date: Mon, 02 Jan 2006 15:04:05 GMT") }
	for n := range 20000 {
		tally.Add(Reply{Status: 200, Header: []string{date(n)}, Body: []byte("Hello from nginx-a"), Latency: time.Millisecond, Measured: true}, Answer{})
		tally.Add(Reply{Status: 503, Class: Class5xx, Header: []string{date(n), "X-Pod: nginx-aa"}}, Answer{})
		tally.Add(Reply{Status: 200, Header: []string{date(n)}, Body: []byte("ok")}, Answer{})
	}
	id, err := ParseIdentify("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	tally.Again(id.WithTokens(NewTokens(testSnapshot())))
	rows := map[string]*Row{}
	for _, r := range tally.Rows(mesh) {
		rows[r.Name] = r
	}
	if us := rows["us"]; us.Requests != 20000 || us.Errors != 0 || us.Latency().N != 20000 {
		t.Errorf("us: %d requests, %d errors", us.Requests, us.Errors)
	}
	if eu := rows["eu"]; eu.Requests != 20000 || eu.Errors != 20000 {
		t.Errorf("eu: %d requests, %d errors", eu.Requests, eu.Errors)
	}
	if tally.Unknown != 20000 || tally.UnknownErrors != 0 || tally.Requests != 60000 || tally.Recognised[ByPod] != 40000 {
		t.Errorf("%d unknown, %d of them errors, %v", tally.Unknown, tally.UnknownErrors, tally.Recognised)
	}
	if samples := tally.UnknownSamples(5); len(samples) != 1 || samples[0] != (UnknownSample{20000, "ok"}) {
		t.Errorf("%+v", samples)
	}
}

// What is kept is bounded, and what was not kept stays counted.
func TestField19Bounded(t *testing.T) {
	t.Parallel()
	tally := NewTally(mesh)
	const n = 3 * maxUnknownGroups
	for i := range n {
		tally.Add(Reply{Status: 200, Body: fmt.Appendf(nil, "request %d", i)}, Answer{})
	}
	if len(tally.unknown.groups) != maxUnknownGroups || tally.Unknown != n {
		t.Errorf("%d groups, %d unknown", len(tally.unknown.groups), tally.Unknown)
	}
	big := NewTally(mesh)
	for i := range 3000 {
		big.Add(Reply{Status: 200, Body: []byte(strings.Repeat("x", 16<<10) + fmt.Sprint(i))}, Answer{})
	}
	if kept := len(big.unknown.groups) * 16 << 10; kept > maxUnknownBytes || kept < maxUnknownBytes/2 {
		t.Errorf("%d bytes kept", kept)
	}
	// What was attributed makes room again.
	id, err := ParseIdentify("body=request (\\d+)", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	tally.Again(id)
	if tally.Unknown != n-maxUnknownGroups || tally.unknown.bytes != 0 {
		t.Errorf("%d unknown, %d bytes", tally.Unknown, tally.unknown.bytes)
	}
}

// The 503 of a proxy is a reply of which nobody knows who sent it; a refused connection is none.
func TestFieldDRowsAreNamedForWhatTheyHold(t *testing.T) {
	t.Parallel()
	tally := fieldTally(1, 0, 2, 3, map[Class]int{ClassRefused: 4})
	if tally.Unknown != 5 || tally.UnknownErrors != 3 || tally.NoAnswer != 4 || tally.Answered() != 6 || tally.Unattributed() != 9 || tally.UnattributedErrors() != 7 {
		t.Errorf("%+v", tally)
	}
}
