package origin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

var mesh = []Member{{"us", "kind-us"}, {"eu", "kind-eu"}, {"ap", "kind-ap"}}

func answered(body string, header ...string) *reply.Reply {
	return &reply.Reply{Status: 200, Header: header, Body: []byte(body)}
}

func TestIdentifyByRule(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rule   string
		mapped []string
		reply  *reply.Reply
		want   Match
	}{
		"body":                {"body=cluster (\\S+)", nil, answered("from cluster us"), Match{Name: "us", Member: true, By: "body"}},
		"body, context":       {"body=cluster (\\S+)", nil, answered("from cluster kind-us"), Match{Name: "us", Member: true, By: "body"}},
		"body, other":         {"body=cluster (\\S+)", nil, answered("from cluster Cluster-1"), Match{Name: "Cluster-1", By: "body"}},
		"body, mapped":        {"body=cluster (\\S+)", []string{"Cluster-1=us"}, answered("from cluster Cluster-1"), Match{Name: "us", Member: true, By: "body"}},
		"mapped to a context": {"body=cluster (\\S+)", []string{"3=kind-ap"}, answered("from cluster 3"), Match{Name: "ap", Member: true, By: "body"}},
		"mapped, equals sign": {"body=(a=b)", []string{"a=b=eu"}, answered("a=b"), Match{Name: "eu", Member: true, By: "body"}},
		"body, no match":      {"body=cluster (\\S+)", nil, answered("hello"), Match{}},
		"not a prefix":        {"body=cluster (\\S+)", nil, answered("from cluster us2"), Match{Name: "us2", By: "body"}},
		"no reply":            {"body=(.*)", nil, &reply.Reply{Body: []byte("us")}, Match{}},
		"header":              {"header=x-cluster", nil, answered("", "X-Cluster: eu "), Match{Name: "eu", Member: true, By: "header"}},
		"header, absent":      {"header=x-cluster", nil, answered("eu"), Match{}},
		"json":                {"json=.cluster", nil, answered(`{"cluster":"eu"}`), Match{Name: "eu", Member: true, By: "json"}},
		"json, bare":          {"json=a.b", nil, answered(`{"a":{"b":"eu"}}`), Match{Name: "eu", Member: true, By: "json"}},
		"json, braces":        {"json={.a[1]}", nil, answered(`{"a":["us","eu"]}`), Match{Name: "eu", Member: true, By: "json"}},
		"json, number":        {"json=id", []string{"3=ap"}, answered(`{"id":3}`), Match{Name: "ap", Member: true, By: "json"}},
		"json, object":        {"json=a", nil, answered(`{"a":{}}`), Match{}},
		"json, absent":        {"json=b", nil, answered(`{"a":1}`), Match{}},
		"json, cut off":       {"json=a", nil, answered(`{"a":"us",`), Match{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mappings, err := ParseMappings(tc.mapped)
			if err != nil {
				t.Fatal(err)
			}
			id, err := Parse(tc.rule, mappings, mesh)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, id.Identify(tc.reply)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A name of two members counts for neither.
func TestIdentifyAmbiguousName(t *testing.T) {
	t.Parallel()
	id, err := Parse("body=(.+)", nil, []Member{{"us", "eu"}, {"eu", "kind-eu"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Match{Name: "eu", By: "body"}, id.Identify(answered("eu"))); diff != "" {
		t.Error(diff)
	}
}

func TestParseIdentifyErrors(t *testing.T) {
	t.Parallel()
	for rule, part := range map[string]string{
		"body=cluster":   "has 0 groups",
		"body=(a)(b)":    "has 2 groups",
		"body=(":         "cannot parse",
		"body":           "must be body=REGEX",
		"header=":        "must be header=NAME",
		"header=a b":     "must be header=NAME",
		"json=":          "must be json=PATH",
		"json={.a[}":     "cannot parse",
		"auto=x":         "does not take a value",
		"hubble":         "must be auto",
		"body=(?P<x>a)b": "",
	} {
		_, err := Parse(rule, nil, mesh)
		if part == "" && err != nil || part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
			t.Errorf("%s: %v, want %q", rule, err, part)
		}
	}
	for _, tc := range []struct {
		values []string
		want   string
	}{
		{[]string{"x"}, `--map "x": must be VALUE=CLUSTER`},
		{[]string{"=us"}, `--map "=us": must be VALUE=CLUSTER`},
		{[]string{"x="}, `--map "x=": must be VALUE=CLUSTER`},
		{[]string{"x=mars"}, `--map "x=mars": cluster "mars" is not among the clusters that are read: us, eu, ap`},
		{[]string{"x=us", "x=eu"}, `--map "x=eu": "x" already refers to cluster us`},
		{[]string{"us=eu"}, `--map "us=eu": "us" already refers to cluster us`},
	} {
		mappings, err := ParseMappings(tc.values)
		if err == nil {
			_, err = Parse("body=(.)", mappings, mesh)
		}
		if err == nil || err.Error() != tc.want {
			t.Errorf("--map %q: %v, want %q", tc.values, err, tc.want)
		}
	}
}

func TestIdentifyAuto(t *testing.T) {
	t.Parallel()
	id, err := Parse("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	id = id.WithTokens(NewTokens(meshtest.Snapshot()))
	tests := map[string]struct {
		reply *reply.Reply
		want  Match
	}{
		"pod":                        {answered("Hello from nginx-a in cluster somewhere"), Match{Name: "us", Member: true, By: ByPod}},
		"longest wins":               {answered("pod nginx-aa, not us"), Match{Name: "eu", Member: true, By: ByPod}},
		"part of a longer name":      {answered("nginx-aaa"), Match{}},
		"end of a sentence":          {answered("I am nginx-a."), Match{Name: "us", Member: true, By: ByPod}},
		"address":                    {answered("10.2.1.2:80"), Match{Name: "eu", Member: true, By: ByIP}},
		"address is part of another": {answered("10.2.1.23 10.2.1.2.9 110.2.1.2"), Match{}},
		"longer address":             {answered("10.1.1.23"), Match{Name: "us", Member: true, By: ByIP}},
		"node":                       {answered("node us-worker2"), Match{Name: "us", Member: true, By: ByNode}},
		"node in both clusters":      {answered("shared-node"), Match{}},
		"pod in both clusters":       {answered("web-0"), Match{}},
		"cluster":                    {answered(`{"cluster":"eu"}`), Match{Name: "eu", Member: true, By: ByCluster, Weak: true}},
		"context":                    {answered("context: kind-eu"), Match{Name: "eu", Member: true, By: ByContext, Weak: true}},
		"part of a word":             {answered("status: bus"), Match{}},
		"both clusters":              {answered("us and eu"), Match{}},
		"header value":               {answered("ok", "X-Pod: nginx-b"), Match{Name: "us", Member: true, By: ByPod}},
		"header name":                {answered("ok", "us: 1"), Match{}},
		"nothing":                    {answered(""), Match{}},
		"control characters":         {answered("\x00nginx-b\x1b"), Match{Name: "us", Member: true, By: ByPod}},
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
