package probe

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// screen is a UI that keeps what the user would read.
type screen struct{ strings.Builder }

func (s *screen) Note(format string, args ...any) { _, _ = fmt.Fprintf(s, format+"\n", args...) }

func (s *screen) Warn(format string, args ...any) { s.Note("Warning: "+format, args...) }

func (s *screen) Show(func() Progress) func() { return func() {} }

// fieldRun is a probe whose clients have sent everything.
func fieldRun(t *testing.T, ui UI, names ...string) *run {
	t.Helper()
	url, err := request.ParseTarget("http://web.shop:8080/")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{
		events: events{begun: make(chan struct{})},
		cfg:    Config{Send: sender.Config{Count: 400}, MaxCount: 400}, ui: ui, mesh: &mesh{selection: &clusters.Selection{}, timeout: 10 * time.Second},
		services: []*service{{url: url, found: true, key: routing.Key{Namespace: "shop", Name: "web"}}},
	}
	id, err := origin.Parse("auto", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.services[0].senders = newRecognizer(id)
	for _, name := range names {
		m := &clusters.Member{Name: name}
		r.mesh.selection.Members = append(r.mesh.selection.Members, m)
		r.mesh.members = append(r.mesh.members, origin.Member{Name: name})
		s := &source{member: m, name: name}
		r.sources = append(r.sources, s)
		c := &client{source: s, to: r.services[0]}
		c.result = sender.Result{Complete: true, Start: time.Unix(1, 0), End: time.Unix(2, 0)}
		r.clients = append(r.clients, c)
	}
	return r
}

func failing(cluster, class string) v1alpha1.ProbeClient {
	return v1alpha1.ProbeClient{Name: cluster, Cluster: cluster, Complete: true, Tool: "curl 8.5.0", Requests: 400, NoAnswer: 400, Errors: []v1alpha1.ProbeError{{Class: class, Count: 400, Message: "what the tool\x1b[2J said"}}}
}

func answering(cluster string) v1alpha1.ProbeClient {
	return v1alpha1.ProbeClient{Name: cluster, Cluster: cluster, Complete: true, Tool: "curl 8.5.0", Requests: 400, Answered: 400, Answers: []v1alpha1.ProbeAnswer{{Name: cluster, Member: true, Requests: 400, Share: 1}}}
}

func check(cluster string, verdict judge.Verdict) v1alpha1.ProbeCheck {
	return v1alpha1.ProbeCheck{Client: cluster, Expectation: "us=0%", Result: string(verdict)}
}

// Without a single answer the result is a failure that is not a missed expectation, and one line suggests what to check.
func TestField01NotASingleAnswer(t *testing.T) {
	t.Parallel()
	for class, advice := range map[string]string{
		"dns": "check the name web.shop in the URL, that Service shop/web exists", "refused": "check the port 8080 in the URL, the ready endpoints of Service shop/web",
		"tls": "--cacert FILE", "reset": "whether they speak http on port 8080", "tool": "--tool", "anything": "--tool",
	} {
		for _, checks := range [][]v1alpha1.ProbeCheck{nil, {check("us", judge.Pass)}, {check("us", judge.Fail)}, {check("us", judge.Inconclusive)}} {
			var ui screen
			_, err := fieldRun(t, &ui, "us").conclude(t.Context(), v1alpha1.ProbeReport{Clients: []v1alpha1.ProbeClient{failing("us", class)}, Checks: checks})
			var f *ResultError
			if !errors.As(err, &f) || f.Missed || f.Interrupted {
				t.Fatalf("%s, %v: %v", class, checks, err)
			}
			want := "cluster us: no request was answered: 400 of 400 failed with " + class
			if text := err.Error(); !strings.HasPrefix(text, want) || !strings.Contains(text, advice) || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("%s: %q", class, text)
			}
		}
	}
}

// What is suggested can be added to the command as it was typed.
func TestTLSAdvice(t *testing.T) {
	t.Parallel()
	https, err := request.ParseTarget("https://web.shop/")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		insecure bool
		cacert   string
		http     bool // another URL is http
		want     string
	}{
		"neither":        {want: "use --cacert FILE with the CA that signed the server's certificate, or skip the verification with --insecure"},
		"insecure":       {insecure: true, want: "check that the port speaks TLS, and that the tool and the server share a TLS version"},
		"a CA":           {cacert: "x", want: "check that the file of --cacert has the CA that signed the server's certificate, and that the certificate is valid for the name in the URL"},
		"an http target": {http: true, want: "use --cacert FILE with the CA that signed the server's certificate, or skip the verification with --insecure; both need a run without the http URLs"},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us")
		if tc.http {
			r.services = append(r.services, &service{url: r.services[0].url})
		}
		r.services[0].url = https
		r.cfg.Send.Insecure, r.cfg.Send.CACert = tc.insecure, []byte(tc.cacert)
		if got := r.advice(r.services[0], "tls"); got != tc.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestField01ExitCodes(t *testing.T) {
	t.Parallel()
	blind := answering("us")
	blind.Answers, blind.Unknown = nil, 400
	errorsOnly := blind
	errorsOnly.UnknownErrors = 400
	for name, tc := range map[string]struct {
		clients []v1alpha1.ProbeClient
		checks  []v1alpha1.ProbeCheck
		code    int
		text    string
	}{
		"all well":                        {[]v1alpha1.ProbeClient{answering("us")}, []v1alpha1.ProbeCheck{check("us", judge.Pass)}, 0, ""},
		"one of two clients":              {[]v1alpha1.ProbeClient{answering("us"), failing("eu", "dns")}, nil, 2, "cluster eu: no request was answered"},
		"both":                            {[]v1alpha1.ProbeClient{failing("us", "dns"), failing("eu", "dns")}, []v1alpha1.ProbeCheck{check("us", judge.Fail), check("eu", judge.Fail)}, 2, "in 2 clusters"},
		"the other one misses":            {[]v1alpha1.ProbeClient{answering("us"), failing("eu", "dns")}, []v1alpha1.ProbeCheck{check("us", judge.Fail), check("eu", judge.Fail)}, 1, "1 of 2 checks failed"},
		"nobody known":                    {[]v1alpha1.ProbeClient{blind}, nil, 2, "no reply identifies its sender; use --identify"},
		"nobody known, and all are a 503": {[]v1alpha1.ProbeClient{errorsOnly}, nil, 2, "every reply is an error"},
		"a 503 is an answer":              {[]v1alpha1.ProbeClient{errorsOnly}, []v1alpha1.ProbeCheck{check("us", judge.Fail)}, 1, "1 of 1 checks failed"},
		"inconclusive":                    {[]v1alpha1.ProbeClient{answering("us")}, []v1alpha1.ProbeCheck{check("us", judge.Inconclusive)}, 2, "inconclusive"},
	} {
		var ui screen
		_, err := fieldRun(t, &ui, "us", "eu").conclude(t.Context(), v1alpha1.ProbeReport{Clients: tc.clients, Checks: tc.checks})
		code := 0
		var f *ResultError
		if errors.As(err, &f) {
			if code = 2; f.Missed {
				code = 1
			}
		}
		if code != tc.code || err != nil && !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: outcome %d, %v, want %d %q", name, code, err, tc.code, tc.text)
		}
	}
}

// A Service that was changed and changed back between two readings leaves a tally that does not fit inconclusive.
func TestField19ChangedForAMoment(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us", "eu")
	r.clients = r.clients[:1]
	c := r.clients[0]
	c.tally = tally.New(r.mesh.members)
	for range 400 {
		c.tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true})
	}
	c.prediction = judge.Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5}}
	verdict := func() judge.Verdict {
		return judge.CheckPrediction(c.tally, judge.Evidence{Prediction: c.prediction, Members: r.mesh.members}).Verdict
	}
	if got := verdict(); got != judge.Fail {
		t.Errorf("without a change: %s", got)
	}
	r.mesh.touched = map[routing.Key]bool{c.to.key: true}
	r.reviewPrediction(c)
	if got := verdict(); got != judge.Inconclusive || !strings.Contains(c.prediction.Doubt, "was changed during the run") {
		t.Errorf("changed for a moment: %s, %q", got, c.prediction.Doubt)
	}
}

// A prediction that changes during the run does not count, even if it changes back before the end.
func TestField19PredictionDuringTheRun(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "shop", Name: "web"}
	state := func(us, eu bool) *routing.Snapshot {
		snap := &routing.Snapshot{}
		for name, ready := range map[string]bool{"us": us, "eu": eu} {
			svc := &routing.Service{Key: key, Type: "ClusterIP", ClusterIPs: addrs("172.20.1.5"), Annotations: map[string]string{"service.cilium.io/global": "true"}, Ports: []routing.Port{{Protocol: "TCP", Port: 8080}}}
			svc.Endpoints = []routing.Endpoint{{Pod: "web-" + name, Addr: addrs(map[string]string{"us": "10.1.1.1", "eu": "10.2.1.1"}[name])[0], Ready: ready, Serving: ready, Ports: svc.Ports}}
			snap.Clusters = append(snap.Clusters, routing.Cluster{Name: name, PeersKnown: true, Peers: []string{"us", "eu"}, DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{key: svc}})
		}
		return snap
	}
	var ui screen
	r := fieldRun(t, &ui, "us", "eu")
	r.clients = r.clients[:1]
	c := r.clients[0]
	c.tally = tally.New(r.mesh.members)
	id, err := origin.Parse("auto", nil, r.mesh.members)
	if err != nil {
		t.Fatal(err)
	}
	of := func(snap *routing.Snapshot) snapshots { return snapshots{c.to: snap} }
	c.to.senders = newRecognizer(id)
	r.learn(of(state(true, true)))
	r.predict(of(state(true, true)))
	if c.prediction.String() != "eu 50.0%, us 50.0%" {
		t.Fatal(c.prediction)
	}
	r.compare(of(state(true, true)))
	if c.changed != "" {
		t.Errorf("changed: %q", c.changed)
	}
	unread := state(true, true)
	unread.Clusters[1].Gap, unread.Clusters[1].Services = "timeout", nil
	r.compare(of(unread))
	if c.changed != "" {
		t.Errorf("a member that answers late: %q", c.changed)
	}
	r.compare(of(state(true, false)))
	r.compare(of(state(true, true)))
	r.reviewPrediction(c)
	if c.prediction.Shares != nil || !strings.Contains(c.prediction.Why, "changed during the run: eu 50.0%, us 50.0%, then us 100.0%") {
		t.Errorf("%+v", c.prediction)
	}
	r.cfg.ExpectPrediction = true
	c.tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true})
	if got := r.checks(c); len(got) != 1 || got[0].Verdict != judge.Inconclusive {
		t.Errorf("%+v", got)
	}
	if doc := c.describe(r.mesh.members); len(doc.Answers) > 0 || doc.PredictionMessage == "" {
		t.Errorf("%+v", doc)
	}
}

func TestField03WeakNamesAreWarnedOf(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us", "eu")
	c := r.clients[0]
	c.prediction = judge.Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5}}
	for _, weak := range []bool{false, true} {
		c.tally, c.result.Warnings = tally.New(r.mesh.members), nil
		for range 100 {
			c.tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByCluster, Weak: weak})
		}
		if r.reviewPrediction(c); (len(c.result.Warnings) == 1 && strings.Contains(c.result.Warnings[0], "contradicts the prediction (eu 50.0%, us 50.0%)")) != weak {
			t.Errorf("weak %v: %q", weak, c.result.Warnings)
		}
	}
}

func TestField04Meanings(t *testing.T) {
	t.Parallel()
	key := func(name string) routing.Key { return routing.Key{Namespace: "shop", Name: name} }
	cluster := func(name, derived, ip string) routing.Cluster {
		return routing.Cluster{Name: name, Services: map[routing.Key]*routing.Service{
			key("catalog"):  {Key: key("catalog"), ClusterIPs: addrs(ip)},
			key(derived):    {Key: key(derived), Labels: map[string]string{"multicluster.kubernetes.io/service-name": "catalog"}},
			key("derived-"): {Key: key("derived-")},
		}}
	}
	snap := &routing.Snapshot{Clusters: []routing.Cluster{cluster("us", "derived-abc", "172.20.1.5"), cluster("eu", "derived-abc", "172.20.2.5"), cluster("ap", "derived-xyz", "172.20.1.5")}}
	for name, tc := range map[string]struct {
		host    string
		clients []string
		want    string
		unnamed map[string]string
	}{
		"local":            {"catalog.shop", []string{"us", "eu"}, "shop/catalog", nil},
		"clusterset":       {"catalog.shop.svc.clusterset.local", []string{"us", "eu"}, "shop/derived-abc", nil},
		"another derived":  {"catalog.shop.svc.clusterset.local", []string{"us", "ap"}, "shop/derived-abc", map[string]string{"ap": "refers to Service shop/derived-xyz"}},
		"no import":        {"cart.shop.svc.clusterset.local", []string{"us"}, "", map[string]string{"us": "ServiceImport shop/cart"}},
		"another zone":     {"catalog.shop.svc.example.internal", []string{"us"}, "", map[string]string{"us": "DNS zone example.internal"}},
		"an address":       {"172.20.1.5", []string{"us", "ap", "eu"}, "shop/catalog", map[string]string{"eu": "is an address"}},
		"unknown address":  {"172.20.9.9", []string{"us"}, "", map[string]string{"us": "is an address"}},
		"somewhere else":   {"www.example.com", []string{"us"}, "", map[string]string{"us": "is not a Service of the mesh"}},
		"of another owner": {"nobody.shop", []string{"us"}, "shop/nobody", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ui screen
			r := fieldRun(t, &ui, tc.clients...)
			to := r.services[0]
			*to = service{url: to.url, host: tc.host}
			for _, c := range r.clients {
				c.member.REST = closedPort()
				c.meaning = target.ClusterFirst("shop").Meaning(tc.host)
			}
			r.resolve(t.Context(), to, snap)
			got := strings.TrimPrefix(to.key.String(), "/")
			if got != tc.want || to.found != (tc.want != "") {
				t.Errorf("%q %v, want %q", got, to.found, tc.want)
			}
			for _, c := range r.clients {
				if want := tc.unnamed[c.member.Name]; !strings.Contains(c.unnamed, want) || (want == "") != (c.unnamed == "") {
					t.Errorf("%s: %q, want %q", c.member.Name, c.unnamed, want)
				}
			}
		})
	}
}

// The number of requests that an expectation needs is reported before the first request.
func TestFieldDAnnounce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		expr        string
		count, most int
		want        string
	}{
		"extended":  {"us=50%", 400, 10000, "--expect us=50% needs about "},
		"too few":   {"us=50%", 400, 400, "Warning: --expect us=50% needs about "},
		"enough":    {"us=50%", 5000, 5000, ""},
		"exact":     {"us=0%", 1, 1, ""},
		"of errors": {"errors<1%", 400, 400, ""},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us", "eu")
		r.cfg.Send.Count, r.cfg.MaxCount = tc.count, tc.most
		var err error
		if r.services[0].expect, err = judge.ParseExpectations([]string{tc.expr}, r.mesh.members, false); err != nil {
			t.Fatal(err)
		}
		if r.announce(); !strings.HasPrefix(ui.String(), tc.want) || (tc.want == "") != (ui.Len() == 0) {
			t.Errorf("%s: %q", name, ui.String())
		}
	}
}

// --settle reports that it waits, and the prediction.
func TestFieldDSettle(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us")
	r.mesh.selection, r.cfg.Settle = &clusters.Selection{}, time.Millisecond
	if _, err := r.settle(t.Context(), r.read(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := "Waiting until the prediction has been stable for 1ms (--settle): clients in us: no prediction: cluster us could not be read.\n"
	if ui.String() != want {
		t.Errorf("%q", ui.String())
	}
}

// The command that shows the endpoints names the Service, its namespace and the contexts.
func TestField11DescribeAsPrinted(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us", "eu")
	for _, m := range r.mesh.selection.Members {
		m.Context = "kind-" + m.Name
	}
	to := r.services[0]
	if got := r.advice(to, reply.ClassRefused); !strings.Contains(got, "(kubectl mesh-svc describe web -n shop --contexts kind-us,kind-eu)") {
		t.Error(got)
	}
	if to.found = false; strings.Contains(r.advice(to, reply.ClassRefused), "kubectl") {
		t.Error(r.advice(to, reply.ClassRefused))
	}
}

// TestUnverified: busybox wget may answer over TLS without verifying the certificate, and the report says so.
func TestUnverified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, tool string
		insecure  bool
		want      int
	}{
		"busybox":             {"https://web", "busybox wget 1.36", false, 1},
		"busybox, http":       {"http://web", "busybox wget 1.36", false, 0},
		"busybox, --insecure": {"https://web", "busybox wget 1.36", true, 0},
		"curl":                {"https://web", "curl 8.1", false, 0},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us")
		url, err := request.ParseTarget(c.url)
		if err != nil {
			t.Fatal(err)
		}
		r.services[0].url, r.cfg.Send.Insecure = url, c.insecure
		one := r.clients[0]
		one.tally, one.result.Tool, one.result.Warnings = tally.New(r.mesh.members), c.tool, nil
		one.tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true})
		r.warnUnverified(one)
		if len(one.result.Warnings) != c.want {
			t.Errorf("%s: %q", name, one.result.Warnings)
		}
	}
}
