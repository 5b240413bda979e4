package probe

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

var mesh = []Known{{"us", "kind-us"}, {"eu", "kind-eu"}, {"ap", "kind-ap"}}

func reply(body string, header ...string) *Reply {
	return &Reply{Status: 200, Header: header, Body: []byte(body)}
}

func TestIdentifyByRule(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rule  string
		as    []string
		reply *Reply
		want  Answer
	}{
		"body":            {"body=cluster (\\S+)", nil, reply("from cluster us"), Answer{Name: "us", Member: true, By: "body"}},
		"body, context":   {"body=cluster (\\S+)", nil, reply("from cluster kind-us"), Answer{Name: "us", Member: true, By: "body"}},
		"body, other":     {"body=cluster (\\S+)", nil, reply("from cluster Cluster-1"), Answer{Name: "Cluster-1", By: "body"}},
		"body, as":        {"body=cluster (\\S+)", []string{"Cluster-1=us"}, reply("from cluster Cluster-1"), Answer{Name: "us", Member: true, By: "body"}},
		"as, context":     {"body=cluster (\\S+)", []string{"3=kind-ap"}, reply("from cluster 3"), Answer{Name: "ap", Member: true, By: "body"}},
		"as, equals sign": {"body=(a=b)", []string{"a=b=eu"}, reply("a=b"), Answer{Name: "eu", Member: true, By: "body"}},
		"body, no match":  {"body=cluster (\\S+)", nil, reply("hello"), Answer{}},
		"not a prefix":    {"body=cluster (\\S+)", nil, reply("from cluster us2"), Answer{Name: "us2", By: "body"}},
		"no reply":        {"body=(.*)", nil, &Reply{Body: []byte("us")}, Answer{}},
		"header":          {"header=x-cluster", nil, reply("", "X-Cluster: eu "), Answer{Name: "eu", Member: true, By: "header"}},
		"header, absent":  {"header=x-cluster", nil, reply("eu"), Answer{}},
		"json":            {"json=.cluster", nil, reply(`{"cluster":"eu"}`), Answer{Name: "eu", Member: true, By: "json"}},
		"json, bare":      {"json=a.b", nil, reply(`{"a":{"b":"eu"}}`), Answer{Name: "eu", Member: true, By: "json"}},
		"json, braces":    {"json={.a[1]}", nil, reply(`{"a":["us","eu"]}`), Answer{Name: "eu", Member: true, By: "json"}},
		"json, number":    {"json=id", []string{"3=ap"}, reply(`{"id":3}`), Answer{Name: "ap", Member: true, By: "json"}},
		"json, object":    {"json=a", nil, reply(`{"a":{}}`), Answer{}},
		"json, absent":    {"json=b", nil, reply(`{"a":1}`), Answer{}},
		"json, cut off":   {"json=a", nil, reply(`{"a":"us",`), Answer{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, err := ParseIdentify(tc.rule, tc.as, mesh)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, id.Identify(tc.reply)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A name that means two members counts for neither.
func TestIdentifyAmbiguousName(t *testing.T) {
	t.Parallel()
	id, err := ParseIdentify("body=(.+)", nil, []Known{{"us", "eu"}, {"eu", "kind-eu"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Answer{Name: "eu", By: "body"}, id.Identify(reply("eu"))); diff != "" {
		t.Error(diff)
	}
}

func TestParseIdentifyErrors(t *testing.T) {
	t.Parallel()
	for rule, part := range map[string]string{
		"body=cluster":   "has 0 groups",
		"body=(a)(b)":    "has 2 groups",
		"body=(":         "does not parse",
		"body":           "want body=REGEX",
		"header=":        "want header=NAME",
		"header=a b":     "want header=NAME",
		"json=":          "want json=PATH",
		"json={.a[}":     "does not parse",
		"auto=x":         "takes no value",
		"hubble":         "want auto",
		"body=(?P<x>a)b": "",
	} {
		_, err := ParseIdentify(rule, nil, mesh)
		if part == "" && err != nil || part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
			t.Errorf("%s: %v, want %q", rule, err, part)
		}
	}
	for _, as := range [][]string{{"x"}, {"=us"}, {"x="}, {"x=mars"}, {"x=us", "x=eu"}, {"us=eu"}} {
		if _, err := ParseIdentify("body=(.)", as, mesh); err == nil {
			t.Errorf("--as %q: no error", as)
		}
	}
}

func testSnapshot() (*routing.Snapshot, routing.Key) {
	key := routing.Key{Namespace: "default", Name: "nginx"}
	ep := func(pod, ip, node string) routing.Endpoint {
		return routing.Endpoint{Pod: pod, Addr: netip.MustParseAddr(ip), Node: node, Ready: true, Serving: true, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
	}
	cluster := func(name string, eps ...routing.Endpoint) routing.Cluster {
		return routing.Cluster{Name: name, Context: "kind-" + name, DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{key: {
			Key: key, Type: "ClusterIP", ClusterIPs: []netip.Addr{netip.MustParseAddr("172.20.1.5")},
			Annotations: map[string]string{"service.cilium.io/global": "true"},
			Ports:       []routing.Port{{Protocol: "TCP", Port: 80}}, Endpoints: eps,
		}}}
	}
	return &routing.Snapshot{Clusters: []routing.Cluster{
		cluster("us", ep("nginx-a", "10.1.1.2", "us-worker"), ep("nginx-b", "10.1.1.23", "us-worker2"), ep("web-0", "10.1.1.9", "shared-node")),
		cluster("eu", ep("nginx-aa", "10.2.1.2", "eu-worker"), ep("web-0", "10.2.1.9", "shared-node")),
	}}, key
}

func TestIdentifyAuto(t *testing.T) {
	t.Parallel()
	id, err := ParseIdentify("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	id = id.WithTokens(NewTokens(testSnapshot()))
	tests := map[string]struct {
		reply *Reply
		want  Answer
	}{
		"pod":                        {reply("Hello from nginx-a in cluster somewhere"), Answer{Name: "us", Member: true, By: ByPod}},
		"longest wins":               {reply("pod nginx-aa, not us"), Answer{Name: "eu", Member: true, By: ByPod}},
		"part of a longer name":      {reply("nginx-aaa"), Answer{}},
		"end of a sentence":          {reply("I am nginx-a."), Answer{Name: "us", Member: true, By: ByPod}},
		"address":                    {reply("10.2.1.2:80"), Answer{Name: "eu", Member: true, By: ByIP}},
		"address is part of another": {reply("10.2.1.23 10.2.1.2.9 110.2.1.2"), Answer{}},
		"longer address":             {reply("10.1.1.23"), Answer{Name: "us", Member: true, By: ByIP}},
		"node":                       {reply("node us-worker2"), Answer{Name: "us", Member: true, By: ByNode}},
		"node in both clusters":      {reply("shared-node"), Answer{}},
		"pod in both clusters":       {reply("web-0"), Answer{}},
		"cluster":                    {reply(`{"cluster":"eu"}`), Answer{Name: "eu", Member: true, By: ByCluster, Weak: true}},
		"context":                    {reply("context: kind-eu"), Answer{Name: "eu", Member: true, By: ByContext, Weak: true}},
		"part of a word":             {reply("status: bus"), Answer{}},
		"both clusters":              {reply("us and eu"), Answer{}},
		"header value":               {reply("ok", "X-Pod: nginx-b"), Answer{Name: "us", Member: true, By: ByPod}},
		"header name":                {reply("ok", "us: 1"), Answer{}},
		"nothing":                    {reply(""), Answer{}},
		"control characters":         {reply("\x00nginx-b\x1b"), Answer{Name: "us", Member: true, By: ByPod}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, id.Identify(tc.reply)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPredict(t *testing.T) {
	t.Parallel()
	snap, key := testSnapshot()
	p := Predict(snap, "us", key, 80)
	if diff := cmp.Diff(map[string]float64{"us": 0.6, "eu": 0.4}, p.Shares); diff != "" || p.Why != "" {
		t.Errorf("%s %s", p.Why, diff)
	}
	for why, p := range map[string]Prediction{
		"no TCP port 81":      Predict(snap, "us", key, 81),
		"has no Service":      Predict(snap, "us", routing.Key{Namespace: "default", Name: "other"}, 80),
		"could not be read":   Predict(snap, "ap", key, 80),
		"sessionAffinity":     Predict(changed(func(c []routing.Cluster, k routing.Key) { c[0].Services[k].SessionAffinity = true }), "us", key, 80),
		"headless":            Predict(changed(func(c []routing.Cluster, k routing.Key) { c[0].Services[k].Headless = true }), "us", key, 80),
		"may also answer":     Predict(changed(func(c []routing.Cluster, _ routing.Key) { c[1] = routing.Cluster{Name: "eu", Gap: "timeout"} }), "us", key, 80),
		"not balanced by Cil": Predict(changed(func(c []routing.Cluster, k routing.Key) { c[0].Services[k].Type = "ExternalName" }), "us", key, 80),
	} {
		if p.Shares != nil || !strings.Contains(p.Why, why) {
			t.Errorf("%s: %+v", why, p)
		}
	}
	doubt := Predict(changed(func(c []routing.Cluster, _ routing.Key) { c[0].PeersKnown, c[0].Peers = true, []string{"eu", "ap"} }), "us", key, 80)
	if diff := cmp.Diff(p.Shares, doubt.Shares); diff != "" || !strings.Contains(doubt.Doubt, "ap, which is not read") {
		t.Errorf("a peer that was not asked: %q %s", doubt.Doubt, diff)
	}
	none := Predict(changed(func(c []routing.Cluster, k routing.Key) {
		c[0].Services[k].Endpoints, c[1].Services[k].Endpoints = nil, nil
	}), "us", key, 80)
	if !none.None || none.Shares["us"] != 0 {
		t.Errorf("%+v", none)
	}
}

func changed(f func([]routing.Cluster, routing.Key)) *routing.Snapshot {
	snap, key := testSnapshot()
	f(snap.Clusters, key)
	return snap
}
