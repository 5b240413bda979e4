package probe

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// urlsRun is a probe in which a pod in us and one in eu call several URLs, each of its own Service in namespace shop.
func urlsRun(t *testing.T, ui UI, expect []string, urls ...string) *run {
	t.Helper()
	r := fieldRun(t, ui, "us", "eu")
	r.mesh.touched, r.mesh.versions = map[routing.Key]bool{}, map[version]string{}
	r.services, r.sources, r.clients = nil, nil, nil
	id, err := origin.Parse("auto", nil, r.mesh.members)
	if err != nil {
		t.Fatal(err)
	}
	split, err := judge.SplitByURL(expect, len(urls))
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Expect = expect
	for i, raw := range urls {
		url, err := request.ParseTarget(raw)
		if err != nil {
			t.Fatal(err)
		}
		s := &service{Target: Target{Typed: raw, URL: &url}, url: url, host: url.Host(), found: true, key: routing.Key{Namespace: "shop", Name: url.Host()}, senders: newRecognizer(id)}
		if s.expect, err = judge.ParseExpectations(split[i], r.mesh.members, false); err != nil {
			t.Fatal(err)
		}
		r.services = append(r.services, s)
	}
	for _, m := range r.mesh.selection.Members {
		r.addSources(m, podexec.Found{Pods: []podexec.Pod{{Name: "client"}}})
	}
	if err := r.nameURLs(); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.clients {
		c.result = sender.Result{Complete: true, Start: time.Unix(1, 0), End: time.Unix(2, 0)}
	}
	return r
}

// shopState has the Services in us and eu, with so many endpoints in each.
func shopState(endpoints map[string][2]int) *routing.Snapshot {
	snap := &routing.Snapshot{}
	for i, cluster := range []string{"us", "eu"} {
		c := routing.Cluster{Name: cluster, PeersKnown: true, Peers: []string{"us", "eu"}, DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{}}
		for name, n := range endpoints {
			key := routing.Key{Namespace: "shop", Name: name}
			svc := &routing.Service{Key: key, Type: "ClusterIP", ClusterIPs: addrs("172.20.1.5"), Annotations: map[string]string{"service.cilium.io/global": "true"}, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
			for e := range n[i] {
				svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Pod: fmt.Sprintf("%s-%s-%d", name, cluster, e), Addr: addrs(fmt.Sprintf("10.%d.%d.%d", i, len(name), e))[0], Ready: true, Serving: true, Ports: svc.Ports})
			}
			c.Services[key] = svc
		}
		snap.Clusters = append(snap.Clusters, c)
	}
	return snap
}

// A client is a pod and a URL. Each has its own prediction, tally and checks, and the report names the URL of each.
func TestSeveralURLs(t *testing.T) {
	t.Parallel()
	var ui screen
	r := urlsRun(t, &ui, []string{"errors=0%", "2:us=0%"}, "http://web/", "http://wiki/path")
	snap := shopState(map[string][2]int{"web": {1, 1}, "wiki": {0, 1}})
	snaps := snapshots{r.services[0]: snap, r.services[1]: snap}
	r.learn(snaps)
	r.predict(snaps)
	start := time.Now().Add(-time.Second)
	for n := range 400 {
		for _, c := range r.clients {
			body := fmt.Sprintf("%s-%s-0", c.to.host, []string{"us", "eu"}[n%2])
			if c.to.host == "wiki" {
				body = "wiki-eu-0"
			}
			one := reply.Reply{Status: 200, Body: []byte(body), Start: start.Add(time.Duration(n) * time.Millisecond), Latency: time.Millisecond, Measured: true}
			r.count(c, one, c.identifier().Identify(&one))
		}
	}
	for _, s := range r.services {
		s.found = false // nothing is read again
	}
	doc := r.document(t.Context())
	documents.CheckValue(t, doc)
	for _, s := range r.services {
		s.found = true
	}
	if doc.Target.URL != "http://web/" || len(doc.Targets) != 2 || doc.Targets[1].URL != "http://wiki/path" {
		t.Errorf("%+v", doc.Targets)
	}
	var got []string
	for _, c := range doc.Clients {
		row := fmt.Sprintf("%s %s %d:", c.Name, c.URL, c.Requests)
		for _, a := range c.Answers {
			row += fmt.Sprintf(" %s %d of %.1f", a.Name, a.Requests, *a.ExpectedShare)
		}
		got = append(got, row)
	}
	if d := cmp.Diff([]string{
		"us http://web/ 400: us 200 of 0.5 eu 200 of 0.5", "us http://wiki/path 400: us 0 of 0.0 eu 400 of 1.0",
		"eu http://web/ 400: us 200 of 0.5 eu 200 of 0.5", "eu http://wiki/path 400: us 0 of 0.0 eu 400 of 1.0",
	}, got); d != "" {
		t.Error(d)
	}
	var checks []string
	for _, k := range doc.Checks {
		checks = append(checks, k.Client+" "+k.URL+" "+k.Expectation+" "+k.Result)
	}
	if d := cmp.Diff([]string{
		"us http://web/ errors=0% PASS", "us http://wiki/path errors=0% PASS", "us http://wiki/path us=0% PASS",
		"eu http://web/ errors=0% PASS", "eu http://wiki/path errors=0% PASS", "eu http://wiki/path us=0% PASS",
	}, checks); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"errors=0%", "2:us=0%"}, r.checksAsked()); d != "" {
		t.Error(d)
	}
	if p := r.progress(); len(p.URLs) != 2 || len(p.ByURL) != 2 || p.Requests != 1600 {
		t.Errorf("%d requests, %q, %d timelines", p.Requests, p.URLs, len(p.ByURL))
	}
}

// Only the prediction of the Service that changed is withdrawn.
func TestOnlyTheChangedService(t *testing.T) {
	t.Parallel()
	var ui screen
	r := urlsRun(t, &ui, nil, "http://web/", "http://wiki/")
	before, after := shopState(map[string][2]int{"web": {1, 1}, "wiki": {1, 1}}), shopState(map[string][2]int{"web": {1, 1}, "wiki": {0, 1}})
	r.predict(snapshots{r.services[0]: before, r.services[1]: before})
	r.compare(snapshots{r.services[0]: after, r.services[1]: after})
	r.compare(snapshots{r.services[0]: after}) // the other one was not read
	r.mesh.touched[r.services[0].key] = true
	for _, c := range r.clients {
		r.reviewPrediction(c)
		if changed := strings.Contains(c.prediction.Why, "changed during the run"); changed != (c.to.host == "wiki") {
			t.Errorf("%s: %+v", c.where(), c.prediction)
		}
		if doubt := c.prediction.Doubt != ""; doubt != (c.to.host == "web") {
			t.Errorf("%s: %+v", c.where(), c.prediction)
		}
	}
}

// Targets of one Service share what is read, and each has its own clients.
func TestSharedReading(t *testing.T) {
	t.Parallel()
	var ui screen
	r := urlsRun(t, &ui, nil, "http://web/health", "http://web/wiki", "http://other/")
	r.mesh.selection = &clusters.Selection{}
	for _, s := range r.services {
		s.query.Name = s.host
	}
	if snaps := r.read(t.Context()); len(snaps) != 3 || snaps[r.services[0]] != snaps[r.services[1]] || snaps[r.services[0]] == snaps[r.services[2]] {
		t.Errorf("%v", snaps)
	}
	if n := len(r.clientsOf(r.services[1])); n != 2 {
		t.Errorf("%d clients", n)
	}
}

// Two targets that turn out to have one URL are an error.
func TestTheSameURL(t *testing.T) {
	t.Parallel()
	var ui screen
	r := urlsRun(t, &ui, nil, "http://web:80/", "http://wiki/")
	r.services[0].Typed, r.services[1].Typed, r.services[1].url = "web:80", "web", r.services[0].url
	if err := r.nameURLs(); err == nil || err.Error() != "web:80 and web are the same URL http://web:80/; a run calls each URL once" {
		t.Error(err)
	}
}

// Messages and errors name the URL.
func TestOutcomesOfURLs(t *testing.T) {
	t.Parallel()
	at := func(c v1alpha1.ProbeClient, url string) v1alpha1.ProbeClient {
		c.URL = url
		return c
	}
	k := func(url string, v judge.Verdict) v1alpha1.ProbeCheck {
		c := check("us", v)
		c.URL = url
		return c
	}
	const web, wiki = "http://web/", "http://wiki:8080/"
	blind := at(answering("us"), wiki)
	blind.Answers, blind.Unknown = nil, 400
	for name, c := range map[string]struct {
		clients []v1alpha1.ProbeClient
		checks  []v1alpha1.ProbeCheck
		missed  bool
		want    string
	}{
		"one is silent":       {[]v1alpha1.ProbeClient{at(answering("us"), web), at(failing("us", "refused"), wiki)}, nil, false, "cluster us, http://wiki:8080/: no request was answered: 400 of 400 failed with refused"},
		"its checks":          {[]v1alpha1.ProbeClient{at(answering("us"), web), at(failing("us", "refused"), wiki)}, []v1alpha1.ProbeCheck{k(wiki, judge.Fail)}, false, "check the port 8080 in the URL, the ready endpoints of Service shop/wiki"},
		"checks of the other": {[]v1alpha1.ProbeClient{at(answering("us"), web), at(failing("us", "refused"), wiki)}, []v1alpha1.ProbeCheck{k(web, judge.Fail), k(wiki, judge.Fail)}, true, "1 of 2 checks failed"},
		"both are silent":     {[]v1alpha1.ProbeClient{at(failing("us", "dns"), web), at(failing("us", "dns"), wiki)}, nil, false, "(the same holds for 2 of 4 pairs of client and URL)"},
		"nobody known":        {[]v1alpha1.ProbeClient{at(answering("us"), web), blind}, nil, false, "cluster us, http://wiki:8080/: no reply identifies its sender; use --identify"},
	} {
		var ui screen
		_, err := urlsRun(t, &ui, nil, web, wiki).conclude(t.Context(), v1alpha1.ProbeReport{Clients: c.clients, Checks: c.checks})
		var f *ResultError
		if !errors.As(err, &f) || f.Missed != c.missed || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var ui screen
	r := urlsRun(t, &ui, nil, web, wiki)
	for _, c := range r.clients {
		c.result = sender.Result{Reason: "it broke"}
	}
	r.sources[1].err = errors.New("it broke")
	if err := r.failure(v1alpha1.ProbeReport{}, 0); err.Error() != "the run is not complete: cluster us, http://web/: it broke\ncluster us, http://wiki:8080/: it broke\ncluster eu: it broke" {
		t.Errorf("%q", err)
	}
	for _, c := range r.clients {
		c.unsent = errors.New("no tool")
	}
	if err := r.whyNothingWasSent(); err.Error() != "no tool\nit broke" {
		t.Errorf("%q", err)
	}
	r.services[1].found, r.clients[1].unnamed = false, "is not a Service of the mesh"
	if err := r.noPrediction(); err == nil || err.Error() != "--expect-prediction: there is no prediction for http://wiki:8080/: is not a Service of the mesh" {
		t.Error(err)
	}
}

// With one URL no document and no message names it.
func TestOneURLIsAsBefore(t *testing.T) {
	t.Parallel()
	var ui screen
	r := urlsRun(t, &ui, nil, "http://web/")
	doc := r.frame()
	for _, c := range r.clients {
		if d := c.describe(r.mesh.members); d.URL != "" || strings.Contains(c.where(), "http") || strings.Contains(where(d), "http") || c.by().URL != "" {
			t.Errorf("%s: %+v", c.where(), d)
		}
	}
	if doc.Targets != nil || doc.Target.URL != "http://web/" {
		t.Errorf("%+v", doc)
	}
}
