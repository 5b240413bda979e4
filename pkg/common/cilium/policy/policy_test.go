package policy

import (
	"testing"

	"sigs.k8s.io/yaml"
)

// read reads policies of cluster eu from YAML.
func read(t *testing.T, defaultLocal bool, docs ...string) []Policy {
	t.Helper()
	var out []Policy
	for _, d := range docs {
		raw, err := yaml.YAMLToJSON([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Cilium(raw, "eu", defaultLocal)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func ingress(selector, rules string) string {
	return "metadata: {namespace: shop, name: p}\nspec: {endpointSelector: " + selector + ", ingress: " + rules + "}"
}

// denies admits everybody of every cluster, apart from what the rules deny.
func denies(rules string) string {
	return "metadata: {namespace: shop, name: p}\nspec: {endpointSelector: {}, ingress: [{fromEntities: [all]}], ingressDeny: " + rules + "}"
}

func TestIngress(t *testing.T) {
	t.Parallel()
	const web = "{matchLabels: {app: web}}"
	cases := map[string]struct {
		policies []string
		anywhere bool // policy-default-local-cluster is off
		want     Answer
	}{
		"peers without a cluster":           {[]string{ingress(web, "[{fromEndpoints: [{matchLabels: {app: x}}]}]")}, false, Yes},
		"the same, anywhere":                {[]string{ingress(web, "[{fromEndpoints: [{matchLabels: {app: x}}]}]")}, true, No},
		"any peer":                          {[]string{ingress("{}", "[{fromEndpoints: [{}]}]")}, false, Yes},
		"its cluster by name":               {[]string{ingress(web, "[{fromEndpoints: [{matchLabels: {'k8s:io.cilium.k8s.policy.cluster': us}}, {}]}]")}, false, No},
		"another cluster by name":           {[]string{ingress(web, "[{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: ap}}, {}]}]")}, false, Yes},
		"every cluster":                     {[]string{ingress(web, "[{fromEndpoints: [{matchExpressions: [{key: io.cilium.k8s.policy.cluster, operator: Exists}]}]}]")}, false, No},
		"clusters but it":                   {[]string{ingress(web, "[{fromEndpoints: [{matchExpressions: [{key: 'any:io.cilium.k8s.policy.cluster', operator: NotIn, values: [us]}]}]}]")}, false, Yes},
		"a named cluster, anywhere":         {[]string{ingress(web, "[{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: eu}}]}]")}, true, Yes},
		"entity all":                        {[]string{ingress(web, "[{fromEntities: [all]}]")}, false, No},
		"entity cluster":                    {[]string{ingress(web, "[{fromEntities: [cluster]}]")}, true, Yes},
		"entity world":                      {[]string{ingress(web, "[{fromEntities: [world]}]")}, false, No},
		"nobody at all":                     {[]string{ingress(web, "[{}]")}, false, No},
		"everybody, on its port":            {[]string{ingress(web, "[{toPorts: [{ports: [{port: '8080', protocol: TCP}]}]}, {fromEndpoints: [{}]}]")}, false, No},
		"everybody, on another port":        {[]string{ingress(web, "[{toPorts: [{ports: [{port: '9090'}]}]}, {fromEndpoints: [{}]}]")}, false, Yes},
		"everybody, in a range of ports":    {[]string{ingress(web, "[{toPorts: [{ports: [{port: '8000', endPort: 9000, protocol: ANY}]}]}, {fromEndpoints: [{}]}]")}, false, No},
		"everybody, over UDP":               {[]string{ingress(web, "[{toPorts: [{ports: [{port: '8080', protocol: UDP}]}]}, {fromEndpoints: [{}]}]")}, false, Yes},
		"everybody, on a named port":        {[]string{ingress(web, "[{toPorts: [{ports: [{port: http}]}]}, {fromEndpoints: [{}]}]")}, false, No},
		"ICMP from everybody":               {[]string{ingress(web, "[{icmps: [{fields: [{type: 8}]}]}, {fromEndpoints: [{}]}]")}, false, Yes},
		"other pods":                        {[]string{ingress("{matchLabels: {app: db}}", "[{fromEndpoints: [{}]}]")}, false, No},
		"perhaps other pods":                {[]string{ingress("{matchLabels: {tier: front}}", "[{fromEndpoints: [{}]}]")}, false, Maybe},
		"surely not other pods":             {[]string{ingress("{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", "[{fromEndpoints: [{}]}]")}, false, No},
		"another policy admits it":          {[]string{ingress(web, "[{fromEndpoints: [{}]}]"), ingress("{matchLabels: {tier: front}}", "[{fromEntities: [all]}]")}, false, No},
		"another namespace's policy":        {[]string{"metadata: {namespace: other, name: p}\nspec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}"}, false, No},
		"a clusterwide policy":              {[]string{"metadata: {name: p}\nspec: {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}"}, false, Yes},
		"a policy about nodes":              {[]string{"metadata: {name: p}\nspec: {nodeSelector: {}, ingress: [{fromEndpoints: [{}]}]}"}, false, No},
		"a policy that denies nothing":      {[]string{"metadata: {namespace: shop, name: p}\nspec: {endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEndpoints: [{}]}]}"}, false, No},
		"several specs":                     {[]string{"metadata: {namespace: shop, name: p}\nspecs: [{endpointSelector: {}, egress: [{}]}, {endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]}]"}, false, Yes},
		"egress only":                       {[]string{"metadata: {namespace: shop, name: p}\nspec: {endpointSelector: {}, egress: [{toEndpoints: [{}]}]}"}, false, No},
		"hosts left out of the subjects":    {[]string{ingress("{matchExpressions: [{key: 'reserved:init', operator: DoesNotExist}]}", "[{fromEndpoints: [{}]}]")}, false, Yes},
		"hosts as subjects":                 {[]string{ingress("{matchExpressions: [{key: 'reserved:host', operator: Exists}]}", "[{fromEndpoints: [{}]}]")}, false, No},
		"hosts left out of the peers":       {[]string{ingress(web, "[{fromEndpoints: [{matchExpressions: [{key: 'reserved:host', operator: NotIn, values: [x]}, {key: io.cilium.k8s.policy.cluster, operator: Exists}]}]}]")}, false, No},
		"denied by its name":                {[]string{denies("[{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: us}}]}]")}, false, Maybe},
		"denied on its port":                {[]string{denies("[{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: us}}], toPorts: [{ports: [{port: '8080'}]}]}]")}, false, Maybe},
		"denied on another port":            {[]string{denies("[{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: us}}], toPorts: [{ports: [{port: '9090'}]}]}]")}, false, No},
		"another one is denied":             {[]string{denies("[{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: ap}}]}]")}, false, No},
		"its own is denied":                 {[]string{denies("[{fromEndpoints: [{}]}]")}, false, No},
		"some pods of all are denied":       {[]string{denies("[{fromEndpoints: [{matchLabels: {app: x}, matchExpressions: [{key: io.cilium.k8s.policy.cluster, operator: Exists}]}]}]")}, false, No},
		"all are denied":                    {[]string{denies("[{fromEntities: [all]}]")}, false, No},
		"denied by another policy":          {[]string{ingress(web, "[{fromEntities: [all]}]"), "metadata: {name: d}\nspec: {endpointSelector: {}, ingressDeny: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: us}}]}]}"}, false, Maybe},
		"its own cluster is required":       {[]string{ingress(web, "[{fromEndpoints: [{}], fromRequires: [{matchLabels: {io.cilium.k8s.policy.cluster: eu}}]}]")}, true, Maybe},
		"a label is required":               {[]string{ingress(web, "[{fromEndpoints: [{}], fromRequires: [{matchLabels: {app: x}}]}]")}, true, No},
		"hosts":                             {[]string{ingress(web, "[{fromEndpoints: [{matchLabels: {'reserved:host': ''}}]}]")}, false, No},
		"an empty list of peers, and local": {[]string{ingress(web, "[{fromEndpoints: []}, {fromEndpoints: [{}]}]")}, false, Yes},
	}
	for name, c := range cases {
		subject := Pods{Cluster: "eu", Namespace: "shop", Labels: map[string]string{"app": "web"}}
		got := Ingress(read(t, !c.anywhere, c.policies...), subject, []Target{{8080, "TCP"}}, "us")
		if got.KeepsOut() != c.want {
			t.Errorf("%s: %v, want %v (%+v)", name, got.KeepsOut(), c.want, got)
		}
	}
}

func TestEgress(t *testing.T) {
	t.Parallel()
	egress := func(rules string) string {
		return "metadata: {namespace: clients, name: p}\nspec: {endpointSelector: {}, egress: " + rules + "}"
	}
	const shop = "io.kubernetes.pod.namespace: shop"
	cases := map[string]struct {
		policies []string
		want     Answer
	}{
		"peers without a cluster":  {[]string{egress("[{toEndpoints: [{matchLabels: {app: web, " + shop + "}}]}]")}, Yes},
		"another namespace":        {[]string{egress("[{toEndpoints: [{matchLabels: {app: web}}]}]")}, No},
		"another label":            {[]string{egress("[{toEndpoints: [{matchLabels: {app: db, " + shop + "}}]}]")}, No},
		"a label nobody knows":     {[]string{egress("[{toEndpoints: [{matchLabels: {tier: x, " + shop + "}}]}]")}, No},
		"every cluster":            {[]string{egress("[{toEndpoints: [{matchLabels: {app: web, " + shop + "}, matchExpressions: [{key: io.cilium.k8s.policy.cluster, operator: Exists}]}]}]")}, No},
		"everything else as well":  {[]string{egress("[{toEndpoints: [{matchLabels: {app: web, " + shop + "}}]}]"), egress("[{toEntities: [all]}]")}, No},
		"the other one is denied":  {[]string{egress("[{toEndpoints: [{matchLabels: {app: web, " + shop + "}, matchExpressions: [{key: io.cilium.k8s.policy.cluster, operator: Exists}]}]}], egressDeny: [{toEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: us, " + shop + "}}]}]")}, Maybe},
		"its own is required":      {[]string{egress("[{toEndpoints: [{matchLabels: {app: web, " + shop + "}, matchExpressions: [{key: io.cilium.k8s.policy.cluster, operator: Exists}]}], toRequires: [{matchLabels: {io.cilium.k8s.policy.cluster: eu, " + shop + "}}]}]")}, Maybe},
		"a Service, by its name":   {[]string{egress("[{toEndpoints: [{matchLabels: {app: web, " + shop + "}}]}, {toServices: [{k8sService: {serviceName: web}}]}]")}, No},
		"everybody, no web at all": {[]string{egress("[{toEntities: [cluster]}]")}, No},
	}
	for name, c := range cases {
		pods := func(cluster string) Pods {
			return Pods{Cluster: cluster, Namespace: "shop", Labels: map[string]string{"app": "web"}}
		}
		if got := Egress(read(t, true, c.policies...), pods("eu"), pods("us"), []Target{{8080, "TCP"}}); got.KeepsOut() != c.want {
			t.Errorf("%s: %v, want %v (%+v)", name, got.KeepsOut(), c.want, got)
		}
	}
}

// FuzzCilium: what a cluster says is read or refused, and never makes the plugin fall over.
func FuzzCilium(f *testing.F) {
	f.Add([]byte(`{"metadata":{"name":"p"},"spec":{"endpointSelector":{},"ingress":[{"toPorts":[{"ports":[{"port":"80"}]}]}]}}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		if p, err := Cilium(raw, "eu", true); err == nil {
			Ingress([]Policy{p}, Pods{Cluster: "eu"}, nil, "us")
			Egress([]Policy{p}, Pods{Cluster: "eu"}, Pods{Cluster: "us"}, nil)
		}
	})
}
