package cmd

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// fieldSession is a session whose clients have sent everything.
func fieldSession(t *testing.T, out, errOut *bytes.Buffer, names ...string) *session {
	t.Helper()
	url, err := request.ParseTarget("http://web.shop:8080/")
	if err != nil {
		t.Fatal(err)
	}
	s := &session{
		env: &env{IOStreams: genericiooptions.IOStreams{Out: out, ErrOut: errOut}, out: output.NewFlags()},
		o:   &options{flags: flags{count: 400}, most: 400},
		sel: &clusters.Selection{}, url: url, service: true, key: routing.Key{Namespace: "shop", Name: "web"},
	}
	for _, name := range names {
		m := &clusters.Member{Name: name}
		s.sel.Members = append(s.sel.Members, m)
		s.known = append(s.known, origin.Member{Name: name})
		c := &client{member: m}
		c.Result = sender.Result{Complete: true, Start: time.Unix(1, 0), End: time.Unix(2, 0)}
		s.clients = append(s.clients, c)
	}
	return s
}

func failing(cluster, class string) v1alpha1.ProbeClient {
	return v1alpha1.ProbeClient{Cluster: cluster, Complete: true, Tool: "curl 8.5.0", Requests: 400, NoAnswer: 400, Errors: []v1alpha1.ProbeError{{Class: class, Count: 400, Message: "what the tool\x1b[2J said"}}}
}

func answering(cluster string) v1alpha1.ProbeClient {
	return v1alpha1.ProbeClient{Cluster: cluster, Complete: true, Tool: "curl 8.5.0", Requests: 400, Answered: 400, Answers: []v1alpha1.ProbeAnswer{{Name: cluster, Member: true, Requests: 400, Share: 1}}}
}

func check(cluster string, verdict judge.Verdict) v1alpha1.ProbeCheck {
	return v1alpha1.ProbeCheck{Client: cluster, Expr: "us=0%", Result: string(verdict)}
}

// Without a single answer the exit code is 2, whatever was expected and found, and one line says where to look.
func TestField01NotASingleAnswer(t *testing.T) {
	t.Parallel()
	for class, advice := range map[string]string{
		"dns": "check the name web.shop in the URL, that Service shop/web exists", "refused": "check the port 8080 in the URL, the ready endpoints of Service shop/web",
		"tls": "--cacert FILE", "reset": "whether they speak http at port 8080", "tool": "--tool", "anything": "--tool",
	} {
		for _, checks := range [][]v1alpha1.ProbeCheck{nil, {check("us", judge.Pass)}, {check("us", judge.Fail)}, {check("us", judge.Inconclusive)}} {
			var out, errOut bytes.Buffer
			err := fieldSession(t, &out, &errOut, "us").finish(t.Context(), v1alpha1.ProbeReport{Clients: []v1alpha1.ProbeClient{failing("us", class)}, Checks: checks})
			var exit *cli.ExitError
			if !errors.As(err, &exit) || exit.Code != cli.ExitNoAnswer {
				t.Fatalf("%s, %v: %v", class, checks, err)
			}
			want := "cluster us: no request was answered: 400 of 400 failed with " + class
			if text := err.Error(); !strings.HasPrefix(text, want) || !strings.Contains(text, advice) || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("%s: %q", class, text)
			}
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
		"nobody known":                    {[]v1alpha1.ProbeClient{blind}, nil, 2, "no reply tells who sent it; name the part"},
		"nobody known, and all are a 503": {[]v1alpha1.ProbeClient{errorsOnly}, nil, 2, "every reply is an error"},
		"a 503 is an answer":              {[]v1alpha1.ProbeClient{errorsOnly}, []v1alpha1.ProbeCheck{check("us", judge.Fail)}, 1, "1 of 1 checks failed"},
		"inconclusive":                    {[]v1alpha1.ProbeClient{answering("us")}, []v1alpha1.ProbeCheck{check("us", judge.Inconclusive)}, 2, "inconclusive"},
	} {
		var out, errOut bytes.Buffer
		err := fieldSession(t, &out, &errOut, "us", "eu").finish(t.Context(), v1alpha1.ProbeReport{Clients: tc.clients, Checks: tc.checks})
		code := 0
		var exit *cli.ExitError
		if errors.As(err, &exit) {
			code = exit.Code
		}
		if code != tc.code || err != nil && !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: exit %d, %v, want %d %q", name, code, err, tc.code, tc.text)
		}
	}
}

// A prediction that is not that of the start is none, also if it changed back by the end; a tally on weak names that contradicts it is warned of.
func TestField19PredictionDuringTheRun(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "shop", Name: "web"}
	state := func(us, eu bool) *routing.Snapshot {
		snap := &routing.Snapshot{}
		for name, ready := range map[string]bool{"us": us, "eu": eu} {
			svc := &routing.Service{Key: key, Type: "ClusterIP", ClusterIPs: addrs("172.20.1.5"), Annotations: map[string]string{"service.cilium.io/global": "true"}, Ports: []routing.Port{{Protocol: "TCP", Port: 8080}}}
			svc.Endpoints = []routing.Endpoint{{Pod: "web-" + name, Addr: addrs(map[string]string{"us": "10.1.1.1", "eu": "10.2.1.1"}[name])[0], Ready: ready, Serving: ready, Ports: svc.Ports}}
			snap.Clusters = append(snap.Clusters, routing.Cluster{Name: name, DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{key: svc}})
		}
		return snap
	}
	var out, errOut bytes.Buffer
	s := fieldSession(t, &out, &errOut, "us", "eu")
	s.clients = s.clients[:1]
	c := s.clients[0]
	c.Tally = tally.New(s.known)
	var err error
	if s.id, err = origin.Parse("auto", nil, s.known); err != nil {
		t.Fatal(err)
	}
	s.learn(state(true, true))
	s.predict(state(true, true))
	if c.Prediction.String() != "eu 50.0%, us 50.0%" {
		t.Fatal(c.Prediction)
	}
	s.compare(state(true, true))
	if c.changed != "" {
		t.Errorf("changed: %q", c.changed)
	}
	unread := state(true, true)
	unread.Clusters[1].Gap, unread.Clusters[1].Services = "timeout", nil
	s.compare(unread)
	if c.changed != "" {
		t.Errorf("a member that answers late: %q", c.changed)
	}
	s.compare(state(true, false))
	s.compare(state(true, true))
	s.conclude(c)
	if c.Prediction.Shares != nil || !strings.Contains(c.Prediction.Why, "changed during the run: eu 50.0%, us 50.0%, then us 100.0%") {
		t.Errorf("%+v", c.Prediction)
	}
	s.o.expectPrediction = true
	c.Tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true})
	if got := s.checks(c); len(got) != 1 || got[0].Verdict != judge.Inconclusive {
		t.Errorf("%+v", got)
	}
	if doc := c.Report(s.known); doc.Answers[0].Expected != nil || doc.PredictionMessage == "" {
		t.Errorf("%+v", doc)
	}
}

func TestField03WeakNamesAreWarnedOf(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	s := fieldSession(t, &out, &errOut, "us", "eu")
	c := s.clients[0]
	c.Prediction = judge.Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5}}
	for _, weak := range []bool{false, true} {
		c.Tally, c.Result.Warnings = tally.New(s.known), nil
		for range 100 {
			c.Tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByCluster, Weak: weak})
		}
		if s.conclude(c); (len(c.Result.Warnings) == 1 && strings.Contains(c.Result.Warnings[0], "contradicts the prediction (eu 50.0%, us 50.0%)")) != weak {
			t.Errorf("weak %v: %q", weak, c.Result.Warnings)
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
		"another derived":  {"catalog.shop.svc.clusterset.local", []string{"us", "ap"}, "shop/derived-abc", map[string]string{"ap": "means Service shop/derived-xyz"}},
		"no import":        {"cart.shop.svc.clusterset.local", []string{"us"}, "", map[string]string{"us": "ServiceImport shop/cart"}},
		"another zone":     {"catalog.shop.svc.example.internal", []string{"us"}, "", map[string]string{"us": "DNS zone example.internal"}},
		"an address":       {"172.20.1.5", []string{"us", "ap", "eu"}, "shop/catalog", map[string]string{"eu": "names an address"}},
		"unknown address":  {"172.20.9.9", []string{"us"}, "", map[string]string{"us": "names an address"}},
		"somewhere else":   {"www.example.com", []string{"us"}, "", map[string]string{"us": "does not name a Service"}},
		"of another owner": {"nobody.shop", []string{"us"}, "shop/nobody", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			s := fieldSession(t, &out, &errOut, tc.clients...)
			s.service, s.key, s.clusters = false, routing.Key{}, clusters.NewFlags()
			for _, c := range s.clients {
				c.member.REST = closedPort()
				c.meaning = target.ClusterFirst("shop").Meaning(tc.host)
			}
			s.resolve(t.Context(), snap, tc.host)
			got := strings.TrimPrefix(s.key.String(), "/")
			if got != tc.want || s.service != (tc.want != "") {
				t.Errorf("%q %v, want %q", got, s.service, tc.want)
			}
			for _, c := range s.clients {
				if want := tc.unnamed[c.member.Name]; !strings.Contains(c.unnamed, want) || (want == "") != (c.unnamed == "") {
					t.Errorf("%s: %q, want %q", c.member.Name, c.unnamed, want)
				}
			}
		})
	}
}

func TestFieldDProgressFits(t *testing.T) {
	t.Parallel()
	members := []string{"us 1000", "eu 1000", "a-cluster-with-a-long-name 1000"}
	for columns, want := range map[int]string{
		200: "probing http://web/  3000/10000  us 1000  eu 1000  a-cluster-with-a-long-name 1000  errors 0",
		80:  "3000/10000  us 1000  eu 1000  a-cluster-with-a-long-name 1000  errors 0",
		60:  "3000/10000  us 1000  eu 1000  +1 more  errors 0",
		40:  "3000/10000  us 1000  +2 more  errors 0",
		32:  "3000/10000  +3 more  errors 0",
		12:  "3000/10000",
		5:   "3000",
		1:   "",
	} {
		if got := fitted(columns, "probing http://web/", "3000/10000", members, "errors 0"); got != want || len(got) >= columns {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
}

func TestFieldDMaxCount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		f           flags
		count, most int
	}{
		"by default":               {flags{count: 400}, 400, 10000},
		"--count":                  {flags{count: 500, countGiven: true}, 500, 500},
		"--count above":            {flags{count: 50000, countGiven: true}, 50000, 50000},
		"--max-count":              {flags{count: 400, maxCount: 3000}, 400, 3000},
		"--max-count below":        {flags{count: 400, maxCount: 100}, 100, 100},
		"both":                     {flags{count: 500, countGiven: true, maxCount: 900}, 500, 900},
		"--duration":               {flags{count: 400, duration: time.Second}, 400, 0},
		"--duration and max-count": {flags{count: 400, duration: time.Second, maxCount: 1}, -1, 0},
		"--max-count below 0":      {flags{count: 400, maxCount: -1}, -1, 0},
		"--max-count below count":  {flags{count: 400, countGiven: true, maxCount: 399}, -1, 0},
	} {
		f := newFlags()
		f.count, f.countGiven, f.maxCount, f.duration = tc.f.count, tc.f.countGiven, tc.f.maxCount, tc.f.duration
		f.from = "deploy/client"
		o, err := f.toOptions("http://web")
		if (err != nil) != (tc.count < 0) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (o.count != tc.count || o.most != tc.most || f.duration == 0 && o.config.Count != tc.count) {
			t.Errorf("%s: count %d and %d, at most %d", name, o.count, o.config.Count, o.most)
		}
	}
}

// What an expectation needs is said before anything is sent.
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
		var out, errOut bytes.Buffer
		s := fieldSession(t, &out, &errOut, "us", "eu")
		s.o.count, s.o.most = tc.count, tc.most
		var err error
		if s.expect, err = judge.ParseExpectations([]string{tc.expr}, s.known, false); err != nil {
			t.Fatal(err)
		}
		if s.announce(); !strings.HasPrefix(errOut.String(), tc.want) || (tc.want == "") != (errOut.Len() == 0) {
			t.Errorf("%s: %q", name, errOut.String())
		}
	}
}

// --settle says what it waits for, and what the prediction is.
func TestFieldDSettle(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	s := fieldSession(t, &out, &errOut, "us")
	s.sel, s.clusters, s.o.settle = &clusters.Selection{}, clusters.NewFlags(), time.Millisecond
	if _, err := s.wait(t.Context(), s.read(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := "Waiting until the prediction has been stable for 1ms (--settle): clients in us: no prediction: cluster us could not be read.\n"
	if errOut.String() != want {
		t.Errorf("%q", errOut.String())
	}
}
