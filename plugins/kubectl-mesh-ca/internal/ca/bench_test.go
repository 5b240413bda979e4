package ca_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// BenchmarkReport judges 255 clusters, 64,770 directions: with one CA, and with a bundle of 255 CAs in each.
func BenchmarkReport(b *testing.B) {
	const many = 255
	one := pkitest.NewCA(b, pkitest.Spec{})
	own := make([]pkitest.CA, many)
	var bundle []byte
	for i := range own {
		own[i] = pkitest.NewCA(b, pkitest.Spec{})
		bundle = append(bundle, own[i].CertPEM...)
	}
	for name, install := range map[string]func(i int) catest.Install{
		"one":    func(int) catest.Install { return catest.Install{CA: &one} },
		"bundle": func(i int) catest.Install { return catest.Install{CA: &own[i], UseBundle: true, Bundle: bundle} },
	} {
		var members []*clusters.Member
		for i := range many {
			in := install(i)
			in.Edit = func(s map[string]*corev1.Secret) {
				for peer := range many {
					s["cilium-kvstoremesh"].Data[fmt.Sprintf("c%d", peer)] = peerConfig(fmt.Sprintf("c%d", peer))
				}
			}
			m, _ := catest.Member(b, fmt.Sprintf("c%d", i), in)
			members = append(members, m)
		}
		states := ca.ReadAll(b.Context(), members, time.Minute).States
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r := ca.Report(members, states, pkitest.Now); len(r.Trust) != many*(many-1) {
					b.Fatalf("%d pairs", len(r.Trust))
				}
			}
		})
	}
}
