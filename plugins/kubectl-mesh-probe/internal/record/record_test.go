package record

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 123456789, time.UTC)

// example is a run before and after it, and its requests. Reply 1 of each client is attributed late.
func example() (before, after v1alpha1.ProbeReport, requests []history.Request) {
	half := 0.5
	before = v1alpha1.ProbeReport{
		Document: v1alpha1.Document{APIVersion: v1alpha1.APIVersion, Kind: "ProbeReport", Complete: true, Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}},
		Target:   v1alpha1.ProbeTarget{URL: "http://nginx/", Method: "GET"},
		Clients: []v1alpha1.ProbeClient{
			{Cluster: "us", Pod: "client-1", Complete: true, Answers: []v1alpha1.ProbeAnswer{{Name: "us", ExpectedShare: &half}, {Name: "eu", ExpectedShare: &half}}},
			{Cluster: "eu", Pod: "client-1", Complete: true, Answers: []v1alpha1.ProbeAnswer{}},
		},
	}
	for n := range 2000 {
		r := history.Request{
			Client: []string{"us", "eu"}[n%2], Pod: "client-1", Start: start.Add(time.Duration(n) * 1234567), Uncertain: time.Duration(n%3) * time.Microsecond,
			Duration: time.Duration(n) * time.Microsecond, Measured: n%5 != 0, Connect: time.Duration(n%7) * time.Microsecond, Status: 200,
		}
		switch n % 9 {
		case 0:
			r.Status, r.Class, r.Message = 0, reply.ClassRefused, "refused <\"\x1b&\u2028"
		case 1:
			r.Reply = 1
		case 2:
			r.Reply = 2
		default:
			r.Cluster, r.Member, r.Evidence, r.Weak = []string{"us", "eu"}[n/2%2], true, origin.ByPod, n%11 == 0
		}
		if n%4 == 0 {
			r.Due, r.Lag = r.Start.Add(-time.Millisecond), 900*time.Microsecond
		}
		requests = append(requests, r)
	}
	code, end := 0, start.Add(time.Second)
	after = before
	after.Clients = slices.Clone(before.Clients)
	after.Clients[0].Tool, after.Clients[1].Tool = "curl 8.5.0", "curl 8.5.0"
	after.Marks = []v1alpha1.ProbeMark{{Time: start.Add(500 * time.Millisecond), Text: "kubectl scale", Command: "kubectl scale", EndTime: &end, ExitCode: &code}}
	after.Checks = []v1alpha1.ProbeCheck{{Client: "us", Expectation: "us=50%", Result: "PASS"}}
	return before, after, requests
}

var late = origin.Match{Name: "eu", Member: true, By: origin.ByPod}

// written records the example and returns the record, and the report of the run as a live run makes it.
func written(t *testing.T) ([]byte, v1alpha1.ProbeReport) {
	t.Helper()
	before, doc, requests := example()
	var disk bytes.Buffer
	w := NewWriter(&disk)
	w.Begin(before, []string{"us=50%"})
	started := doc.Marks[0]
	started.EndTime, started.ExitCode = nil, nil
	w.Mark(started)
	var log history.Log
	for _, r := range requests {
		w.Request(r)
		log.Add(r)
	}
	w.Mark(doc.Marks[0])
	w.Attributed(history.Client{Cluster: "us", Pod: "client-1"}, 1, late)
	log.Attribute(history.Client{Cluster: "us", Pod: "client-1"}, 1, late)
	summary.Fill(&doc, &log)
	if err := w.Close(doc); err != nil {
		t.Fatal(err)
	}
	checkLines(t, disk.Bytes())
	return disk.Bytes(), doc
}

// checkLines looks at the schema of every line of a record.
func checkLines(t *testing.T, raw []byte) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	documents.Check(t, string(text))
}

// TestHeaderWithoutAnswers: a Service without a prediction has no answers at the beginning, and the list is empty, not null.
func TestHeaderWithoutAnswers(t *testing.T) {
	t.Parallel()
	before, doc, _ := example()
	before.Clients = slices.Clone(before.Clients)
	before.Clients[0].Answers = nil
	var disk bytes.Buffer
	w := NewWriter(&disk)
	w.Begin(before, nil)
	if err := w.Close(doc); err != nil {
		t.Fatal(err)
	}
	checkLines(t, disk.Bytes())
	if before.Clients[0].Answers != nil {
		t.Error("the caller's document was changed")
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The report of a record is the report of the run, to the last digit, with replies that were attributed late.
func TestRecordIsTheReport(t *testing.T) {
	t.Parallel()
	data, want := written(t)
	rec, err := Read(bytes.NewReader(data), false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(asJSON(t, want), asJSON(t, rec.Report)); d != "" {
		t.Error(d)
	}
	if c := rec.Report.Clients[0]; c.Unknown == 0 || c.Answers[1].Requests < 400 || len(c.Outages) != 1 || !slices.Equal(rec.Checks, []string{"us=50%"}) {
		t.Errorf("%d unknown, %+v, checks %q", c.Unknown, c.Outages, rec.Checks)
	}
}

// full is a disk that is full after some bytes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := NewWriter(&full{room: 2000})
	before, doc, requests := example()
	w.write(line{Header: &header{Kind: kind, Version: Version, Report: before}})
	for _, r := range requests {
		p := Describe(r)
		w.write(line{Request: &p})
		w.Flush()
	}
	if err := w.Close(doc); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
}

// lines packs lines as a record does.
func lines(t *testing.T, text ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	if _, err := io.WriteString(zip, strings.Join(text, "\n")); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const head = `{"header":{"kind":"ProbeRecord","version":1,"report":{"clients":[{"cluster":"us","pod":"a"}]}}}`

func TestNotARecord(t *testing.T) {
	t.Parallel()
	request := `{"request":{"client":"us","pod":"a","startTime":"2026-11-29T12:00:00Z","atMostMs":5,"status":200}}`
	end := `{"trailer":{"requests":1,"attributions":0,"report":{"clients":[{"cluster":"us","pod":"a","requests":1}]}}}`
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"text":              {[]byte("hello"), "not a record of mesh-probe"},
		"nothing":           {nil, "not a record of mesh-probe"},
		"an empty file":     {lines(t), "it has no header"},
		"another gzip":      {lines(t, "hello"), "line 1 is not JSON"},
		"other JSON":        {lines(t, `{"a":1}`), "it has no header"},
		"another kind":      {lines(t, `{"header":{"kind":"Pod","version":1}}`), `its kind is "Pod"`},
		"another version":   {lines(t, `{"header":{"kind":"ProbeRecord","version":2}}`), "a record of version 2; this mesh-probe reads version 1"},
		"cut short":         {lines(t, head, request), "the record was cut short after 1 requests"},
		"cut in a line":     {lines(t, head, request, request[:20]), "the record was cut short after 1 requests"},
		"a line lost":       {lines(t, head, end), "its trailer says 1 and 0"},
		"a line too much":   {lines(t, head, request, end, request), "something follows its trailer"},
		"of another pod":    {lines(t, head, strings.ReplaceAll(request, `"a"`, `"b"`), end), "its report says 1 requests of pod a in cluster us, and it has 0"},
		"not a line":        {lines(t, head, `{"x":1}`, end), "the line has nothing that this version knows"},
		"broken in between": {lines(t, head, `{"request":5}`, end), "damaged in line 2"},
		"no time":           {lines(t, head, `{"request":{"client":"us"}}`, end), "of the year 1"},
		"no end":            {lines(t, head, strings.ReplaceAll(request, "atMostMs", "uncertainMs"), end), "without durationMs and atMostMs"},
		"bad status":        {lines(t, head, strings.ReplaceAll(request, "200", "-200"), end), "a value that cannot be"},
	} {
		if _, err := Read(bytes.NewReader(c.data), false); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if rec, err := Read(bytes.NewReader(lines(t, head, request, end)), false); err != nil || rec.Log.Len() != 1 {
		t.Errorf("a record: %v", err)
	}
}

// Counts of requests that were not sent cannot be checked against the requests, so what cannot be is refused: they are memory for a comparison.
func TestImpossibleSchedules(t *testing.T) {
	t.Parallel()
	const request = `{"request":{"client":"us","pod":"a","startTime":"2026-11-29T12:00:00Z","atMostMs":5,"status":200}}`
	for schedule, ok := range map[string]bool{
		`{"planned":3,"late":1,"dropped":2}`:                                     true,
		`{"planned":0,"late":0,"dropped":0}`:                                     true, // a run that was cut short
		`{"planned":50000000,"late":0,"dropped":49999999}`:                       true,
		`{"planned":3,"late":0,"dropped":-1}`:                                    false,
		`{"planned":3,"late":-1,"dropped":0}`:                                    false,
		`{"planned":-1,"late":0,"dropped":0}`:                                    false,
		`{"planned":1,"late":0,"dropped":2}`:                                     false,
		`{"planned":2,"late":2,"dropped":1}`:                                     false,
		`{"planned":1,"late":0,"dropped":1099511627776}`:                         false,
		`{"planned":1099511627776,"late":0,"dropped":1099511627776}`:             false,
		`{"planned":9223372036854775807,"late":0,"dropped":9223372036854775807}`: false,
		// Those of all clients are as many.
		`{"planned":30000000,"late":0,"dropped":29999999}},{"cluster":"eu","pod":"b","schedule":{"planned":30000000,"late":0,"dropped":30000000}`: false,
	} {
		clients := `"clients":[{"cluster":"us","pod":"a","requests":1,"schedule":` + schedule + `}]`
		end := `{"trailer":{"requests":1,"attributions":0,"report":{` + clients + `}}}`
		_, err := Read(bytes.NewReader(lines(t, head, request, end)), false)
		_, cut := Read(bytes.NewReader(lines(t, `{"header":{"kind":"ProbeRecord","version":1,"report":{`+clients+`}}}`, request)), true)
		for name, err := range map[string]error{"whole": err, "cut": cut} {
			if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "the record is damaged: the schedule of pod") {
				t.Errorf("%s, %s: %v", schedule, name, err)
			}
		}
	}
}

// Wherever a record is cut, reading it fails clearly, and --partial reads a beginning of its requests that is never complete.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	data, _ := written(t)
	_, _, all := example()
	read := 0
	for at := 0; at < len(data); at += 1 + len(data)/80 {
		if _, err := Read(bytes.NewReader(data[:at]), false); err == nil || !errors.Is(err, ErrCut) && !strings.Contains(err.Error(), "not a record") {
			t.Fatalf("cut after %d of %d bytes: %v", at, len(data), err)
		}
		rec, err := Read(bytes.NewReader(data[:at]), true)
		if err != nil {
			continue // not even a header
		}
		if rec.Report.Complete || rec.Report.Clients[0].Complete || len(rec.Report.Checks) > 0 {
			t.Fatalf("cut after %d bytes, but complete", at)
		}
		n, sum := 0, 0
		for r := range rec.Log.All() {
			if !r.Start.Equal(all[n].Start) || r.Client != all[n].Client {
				t.Fatalf("cut after %d bytes: request %d is another one", at, n)
			}
			n++
		}
		for _, c := range rec.Report.Clients {
			sum += c.Requests
		}
		if sum != n {
			t.Fatalf("cut after %d bytes: %d requests, %d in the report", at, n, sum)
		}
		read = max(read, n)
	}
	if read < 1000 {
		t.Errorf("at most %d requests were read", read)
	}
}

// What was flushed is there after a crash.
func TestFlushKeepsWholeLines(t *testing.T) {
	t.Parallel()
	var disk bytes.Buffer
	w := NewWriter(&disk)
	before, _, requests := example()
	w.write(line{Header: &header{Kind: kind, Version: Version, Report: before}})
	for _, r := range requests[:100] {
		p := Describe(r)
		w.write(line{Request: &p})
	}
	w.Flush()
	rec, err := Read(bytes.NewReader(disk.Bytes()), true)
	if err != nil || rec.Log.Len() != 100 {
		t.Fatalf("%v", err)
	}
}

// A record of the largest mesh can be read: each of 255 clusters is a client, and has a row for each of them.
func TestLargestMesh(t *testing.T) {
	t.Parallel()
	const clusters = 255
	doc := v1alpha1.ProbeReport{
		Document: v1alpha1.Document{APIVersion: v1alpha1.APIVersion, Kind: "ProbeReport", Complete: true},
		Target:   v1alpha1.ProbeTarget{URL: "http://nginx/", Method: "GET"},
	}
	name := func(i int) string { return fmt.Sprintf("production-europe-west-%d", i) }
	share := 1.0 / clusters
	var rows []v1alpha1.ProbeAnswer
	for i := range clusters {
		rows = append(rows, v1alpha1.ProbeAnswer{Name: name(i), ExpectedShare: &share})
		doc.Members = append(doc.Members, v1alpha1.Member{Name: name(i)})
	}
	for i := range clusters {
		doc.Clients = append(doc.Clients, v1alpha1.ProbeClient{Name: name(i), Cluster: name(i), Pod: "client-7d9f8b6c5d-x2x4z", Complete: true, Answers: rows})
	}
	var disk bytes.Buffer
	w, log := NewWriter(&disk), history.Log{}
	w.Begin(doc, nil)
	for i := range 400 * clusters / 10 {
		r := history.Request{Client: name(i % clusters), Pod: "client-7d9f8b6c5d-x2x4z", Start: start.Add(time.Duration(i) * time.Millisecond), Duration: time.Millisecond, Measured: true,
			Status: 200, Cluster: name(i / clusters * 7 % clusters), Member: true, Evidence: origin.ByPod}
		w.Request(r)
		log.Add(r)
	}
	doc.Clients = slices.Clone(doc.Clients)
	for i := range doc.Clients {
		doc.Clients[i].Answers = slices.Clone(rows)
	}
	summary.Fill(&doc, &log)
	// With 400 requests from each client, every row has latencies.
	for i := range doc.Clients {
		for j := range doc.Clients[i].Answers {
			a := &doc.Clients[i].Answers[j]
			if a.LatencyMs == nil {
				a.LatencyMs = &v1alpha1.ProbeLatency{Count: 2, Min: 1, Mean: 1, Max: 1, Histogram: make([]v1alpha1.ProbeBucket, 2)}
			}
		}
	}
	if err := w.Close(doc); err != nil {
		t.Fatal(err)
	}
	if n := w.line.Len(); n < 16<<20 {
		t.Fatalf("the trailer has only %d bytes", n)
	}
	rec, err := Read(bytes.NewReader(disk.Bytes()), false)
	if err != nil || len(rec.Report.Clients) != clusters || rec.Log.Len() != log.Len() {
		t.Fatalf("%v", err)
	}
}

// A line that is too long is not written. If it is the trailer, what was written before can be read, as it can in a record with such a line.
func TestLongLine(t *testing.T) {
	t.Parallel()
	before, doc, requests := example()
	for name, limit := range map[string]struct{ write, read int }{"when written": {5000, maxLine}, "when read": {maxLine, 5000}} {
		var disk bytes.Buffer
		w := NewWriter(&disk)
		w.longest = limit.write
		w.Begin(before, nil)
		for _, r := range requests[:20] {
			w.Request(r)
		}
		doc.Target.URL = "http://nginx/" + strings.Repeat("x", 6000)
		if err := w.Close(doc); (err != nil) != (limit.write < maxLine) || err != nil && !strings.Contains(err.Error(), "a line is too long") {
			t.Errorf("%s: %v", name, err)
		}
		zip, err := gzip.NewReader(&disk)
		if err != nil {
			t.Fatal(err)
		}
		r := &reader{longest: limit.read}
		if err := r.lines(zip); !errors.Is(err, ErrCut) || r.partial().Log.Len() != 20 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	before, doc, requests := example()
	var disk bytes.Buffer
	w := NewWriter(&disk)
	w.Begin(before, nil)
	for _, r := range requests[:20] {
		w.Request(r)
	}
	if err := w.Close(doc); err != nil {
		f.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(disk.Bytes()))
	if err != nil {
		f.Fatal(err)
	}
	plain, err := io.ReadAll(zip)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte(head + "\n" + `{"attribution":{"reply":1}}` + "\n" + `{"mark":{}}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		r := &reader{longest: maxLine}
		err := r.lines(bytes.NewReader(plain))
		if err != nil && errors.Is(err, ErrCut) && r.rec != nil {
			if rec := r.partial(); rec.Report.Complete {
				t.Error("a record without its end is complete")
			}
		}
		if err == nil {
			if rec, err := r.whole(); err == nil && rec.Log.Len() != r.requests {
				t.Errorf("%d requests, %d read", rec.Log.Len(), r.requests)
			}
		}
		_, _ = Read(bytes.NewReader(plain), true)
	})
}

// The size of a record, so that nobody is surprised.
func TestSize(t *testing.T) {
	t.Parallel()
	var disk bytes.Buffer
	w := NewWriter(&disk)
	before, doc, _ := example()
	w.Begin(before, nil)
	const n = 100_000
	began := time.Now()
	for i := range n {
		w.Request(history.Request{
			Client: "us", Pod: "client-1", Start: start.Add(time.Duration(i) * 5 * time.Millisecond), Duration: time.Duration(500+i%971) * time.Microsecond, Measured: true,
			Connect: time.Duration(i%97) * time.Microsecond, Status: 200, Cluster: []string{"us", "eu"}[i*7919%100/60], Member: true, Evidence: "pod name",
		})
	}
	took := time.Since(began)
	if err := w.Close(doc); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f bytes and %s for each request", float64(disk.Len())/n, took/n)
	if disk.Len() > 40*n {
		t.Errorf("%d bytes for %d requests", disk.Len(), n)
	}
}
