package main

import (
	"fmt"
	"strings"
	"time"
)

// The objects on the lab.
const (
	namespace = "gates"
	client    = "client"
)

// gate is a check, and whether it is true.
type gate struct {
	name, expr string
	service    string
	truth      string
	holds      bool
}

var gates = []gate{
	{"half", "us=50%", "half", "50:50", true},
	{"sixty", "us=50%", "sixty", "60:40", false},
	{"errors-few", "errors<1%", "few", "0.2% fail", true},
	{"errors-many", "errors<1%", "many", "2% fail", false},
}

// share is how many pods of a Service are in us and in eu, and which part of the requests they answer with an error.
type share struct {
	us, eu int
	errors string
}

var shares = map[string]share{"half": {us: 1, eu: 1}, "sixty": {us: 3, eu: 2}, "few": {us: 1, eu: 1, errors: "0.002"}, "many": {us: 1, eu: 1, errors: "0.02"}}

// services are the names of the Services, in their order.
func services() []string { return []string{"half", "sixty", "few", "many"} }

// flags are what mesh-probe is run with.
func (g gate) flags() []string {
	return []string{"http://" + g.service, "-n", namespace, "--contexts", "kind-us,kind-eu", "--from", "deploy/" + client, "--max-rate", "0", "--expect", g.expr}
}

// allowed is how many runs may have the wrong result: 1 in 60, and none in fewer.
func (g gate) allowed(runs int) int { return runs / 60 }

// bound describes what is asked of the runs.
func (g gate) bound(runs int) string {
	if g.holds {
		return fmt.Sprintf("at least %d pass", runs-g.allowed(runs))
	}
	return fmt.Sprintf("at most %d pass", g.allowed(runs))
}

type result struct {
	verdict              string
	requests, us, failed int
	took                 time.Duration
}

// series are all runs of a gate.
type series struct {
	gate                 gate
	runs, pass, fail     int
	requests, us, failed int
	took, longest        time.Duration
}

func (s *series) add(r result) {
	s.runs++
	switch r.verdict {
	case "PASS":
		s.pass++
	case "FAIL":
		s.fail++
	}
	s.requests, s.us, s.failed, s.took, s.longest = s.requests+r.requests, s.us+r.us, s.failed+r.failed, s.took+r.took, max(s.longest, r.took)
}

// mean is a sum divided by the number of runs.
func (s *series) mean(sum float64) float64 { return sum / float64(max(1, s.runs)) }

func (s *series) kept() bool {
	if s.runs == 0 || s.pass+s.fail < s.runs-s.gate.allowed(s.runs) {
		return false // what was not decided proves nothing
	}
	if s.gate.holds {
		return s.pass >= s.runs-s.gate.allowed(s.runs)
	}
	return s.pass <= s.gate.allowed(s.runs)
}

// measured is the share to which the check applies, in all runs together.
func (s *series) measured() string {
	n := s.us
	if strings.HasPrefix(s.gate.expr, "errors") {
		n = s.failed
	}
	return fmt.Sprintf("%.2f%%", 100*float64(n)/float64(max(1, s.requests)))
}

func manifests(cluster string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", namespace)
	deployment := func(name string, replicas int, container string) {
		fmt.Fprintf(&out, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, namespace: %s}\nspec:\n  replicas: %d\n  selector: {matchLabels: {app: %s}}\n"+
			"  template:\n    metadata: {labels: {app: %s}}\n    spec: {containers: [%s]}\n", name, namespace, replicas, name, name, container)
	}
	deployment(client, 1, "{name: client, image: meshlab/curl}")
	for _, name := range services() {
		s := shares[name]
		replicas, container := s.us, "{name: web, image: meshlab/web}"
		if cluster == "eu" {
			replicas = s.eu
		}
		if s.errors != "" {
			container = fmt.Sprintf("{name: web, image: meshlab/web, env: [{name: ERROR_RATE, value: %q}]}", s.errors)
		}
		deployment(name, replicas, container)
		fmt.Fprintf(&out, "---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s, annotations: {service.cilium.io/global: \"true\"}}\nspec: {selector: {app: %s}, ports: [{port: 80}]}\n", name, namespace, name)
	}
	return out.String()
}
