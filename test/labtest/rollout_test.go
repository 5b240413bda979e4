package labtest

import (
	"fmt"
	"strings"
	"testing"
)

func TestBehind(t *testing.T) {
	t.Parallel()
	const service = `{"kind":"Service","metadata":{"name":"web"},"spec":{"selector":{"app":"web"}}}`
	pod := func(name, ip, ready, more string) string {
		return fmt.Sprintf(`{"kind":"Pod","metadata":{"name":%q,"labels":{"app":"web"}%s},"status":{"podIP":%q,"conditions":[{"type":"Ready","status":%q}]}}`, name, more, ip, ready)
	}
	slice := func(ready string, ips ...string) string {
		var endpoints []string
		for _, ip := range ips {
			endpoints = append(endpoints, fmt.Sprintf(`{"addresses":[%q],"conditions":{"ready":%s}}`, ip, ready))
		}
		return `{"kind":"EndpointSlice","metadata":{"labels":{"kubernetes.io/service-name":"web"}},"endpoints":[` + strings.Join(endpoints, ",") + `]}`
	}
	const deployment = `{"kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"web"}}}}`
	const deleted = `,"deletionTimestamp":"2026-01-01T00:00:00Z"`
	for name, c := range map[string]struct {
		items []string
		want  string
	}{
		"equal":                   {[]string{service, pod("a", "10.0.0.1", "True", ""), pod("b", "10.0.0.2", "True", ""), slice("true", "10.0.0.2", "10.0.0.1")}, ""},
		"a pod is missing":        {[]string{service, pod("a", "10.0.0.1", "True", ""), pod("b", "10.0.0.2", "True", ""), slice("true", "10.0.0.1")}, "pod b is not in the EndpointSlices of web"},
		"not yet ready there":     {[]string{service, pod("a", "10.0.0.1", "True", ""), slice("false", "10.0.0.1")}, "pod a is not in the EndpointSlices of web"},
		"no slice":                {[]string{service, pod("a", "10.0.0.1", "True", "")}, "pod a is not in the EndpointSlices of web"},
		"a pod that is not ready": {[]string{service, pod("a", "10.0.0.1", "False", ""), slice("false", "10.0.0.1")}, ""},
		"a pod that ends":         {[]string{service, pod("a", "10.0.0.1", "True", deleted), slice("false", "10.0.0.1")}, ""},
		"it ends, still there":    {[]string{service, pod("a", "10.0.0.1", "True", deleted), slice("true", "10.0.0.1")}, "the EndpointSlices of web have 10.0.0.1, but no ready pod has it"},
		"not ready, still there":  {[]string{service, pod("a", "10.0.0.1", "False", ""), slice("true", "10.0.0.1")}, "the EndpointSlices of web have 10.0.0.1, but no ready pod has it"},
		"a pod that is gone":      {[]string{service, pod("a", "10.0.0.1", "True", ""), slice("true", "10.0.0.1", "10.0.0.9")}, "the EndpointSlices of web have 10.0.0.9, but no ready pod has it"},
		"without a selector":      {[]string{`{"kind":"Service","metadata":{"name":"web"}}`, slice("true", "10.0.0.9")}, ""},
		"an evicted pod":          {[]string{deployment, service}, "deployment web has 0 of 1 ready pods"},
		"and it ends":             {[]string{deployment, service, pod("a", "10.0.0.1", "True", deleted)}, "deployment web has 0 of 1 ready pods"},
		"its replacement":         {[]string{deployment, service, pod("b", "10.0.0.2", "True", ""), slice("true", "10.0.0.2")}, ""},
		"another Deployment":      {[]string{strings.Replace(deployment, `"web"`, `"api"`, 1), service}, ""},
	} {
		got, err := behind([]byte(`{"items":[`+strings.Join(c.items, ",")+`]}`), []string{"deploy/web"})
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	if _, err := behind([]byte(`{"items":[{"kind":"Pod","metadata":1}]}`), nil); err == nil {
		t.Error("no error for what is not a pod")
	}
}
