package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// mixed counts the states of a run in which more than one cluster is predicted to answer.
func mixed(o options, clusters []string) int {
	n := 0
	states, gates := drawAll(o, clusters)
	for _, s := range states {
		snap := &routing.Snapshot{}
		key := routing.Key{Namespace: s.Namespace, Name: s.name()}
		for i, c := range clusters {
			member := routing.Cluster{
				Name: c, Version: cilium.ParseVersion("1.20.2"), DefaultGlobalNamespace: true, Namespaces: gates[c], Services: map[routing.Key]*routing.Service{},
			}
			if s.Clusters[c] != nil {
				var addresses []string
				for pod := range pods {
					addresses = append(addresses, fmt.Sprintf("10.%d.0.%d", i+1, pod+1))
				}
				svc, slices := objects(s, c, addresses)
				svc.Namespace = s.Namespace
				for _, slice := range slices {
					slice.Namespace = s.Namespace
				}
				if svc.Spec.ClusterIP == "" { // as the API server completes it
					svc.Spec.ClusterIP, svc.Spec.IPFamilies = "172.20.0.5", []corev1.IPFamily{corev1.IPv4Protocol}
					svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
				}
				member.Services[key] = routing.FromService(svc, slices)
			}
			snap.Clusters = append(snap.Clusters, member)
		}
		svc := snap.Find(s.Client).Services[key]
		if svc == nil {
			continue
		}
		decision := routing.Decide(snap, s.Client, key, routing.Frontend{Port: svc.Ports[0]})
		answering := 0
		if len(decision.Outcomes) == 1 {
			for _, share := range decision.Outcomes[0].Shares {
				if share.Backends > 0 {
					answering++
				}
			}
		}
		if answering > 1 {
			n++
		}
	}
	return n
}

// The few states of make short-cilium must be worth a lab with Cilium: in most random states one cluster answers, or none.
func TestSeedOfTheShortRun(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`-short && go run ./test/cmd/states .*-states=([0-9]+) -seed=([0-9]+)'`).FindSubmatch(makefile)
	if flags == nil {
		t.Fatal("make short-cilium does not call states as expected")
	}
	n, _ := strconv.Atoi(string(flags[1]))
	seed, _ := strconv.ParseUint(string(flags[2]), 10, 64)
	const want = 3
	if got := mixed(options{seed: seed, states: n, only: -1}, []string{"eu", "us"}); got < want {
		t.Errorf("seed %d: more than one cluster answers in %d of %d states, want at least %d", seed, got, n, want)
		for seed := range uint64(200) {
			if got := mixed(options{seed: seed, states: n, only: -1}, []string{"eu", "us"}); got >= want {
				t.Logf("seed %d has %d", seed, got)
			}
		}
	}
}
