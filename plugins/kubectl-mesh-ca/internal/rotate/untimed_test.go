package rotate_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// replica is a cluster with one pod of clustermesh-apiserver.
type replica struct {
	nodes

	created time.Time
}

func (r replica) Served(context.Context, *clusters.Member) ([]live.Served, error) {
	return []live.Served{{Pod: "clustermesh-apiserver-0", Created: r.created, Started: r.created, Chain: r.file}}, nil
}

// TestEtcdWithoutATime: an etcd of which nobody knows whether it has loaded its CA file counts as one that has not. It counted as one that has.
func TestEtcdWithoutATime(t *testing.T) {
	t.Parallel()
	signer := pkitest.NewCA(t, pkitest.Spec{})
	before, after := catest.Written.Add(-time.Minute), catest.Written.Add(time.Minute)
	for name, c := range map[string]struct {
		created         time.Time
		edit            func(map[string]*corev1.Secret)
		workloads       func(*appsv1.Deployment, *appsv1.DaemonSet)
		behind, unknown string
	}{
		"a later pod":    {created: after},
		"an earlier pod": {created: before, behind: "the pod was created at"},
		"the write is not recorded": {created: after, edit: func(s map[string]*corev1.Secret) { s[pki.SecretServer].ManagedFields = nil },
			unknown: "cannot determine when secret/clustermesh-apiserver-server-cert[ca.crt] was written"},
		"a pod without a time": {unknown: "cannot determine when the pod was created"},
		"a CA file that no volume has": {created: after, workloads: func(d *appsv1.Deployment, _ *appsv1.DaemonSet) { d.Spec.Template.Spec.Volumes = nil },
			unknown: "cannot determine which CA file it reads: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us, _ := catest.Member(t, "us", catest.Install{CA: &signer, Edit: c.edit, Workloads: c.workloads})
			s, err := ca.Read(t.Context(), us)
			must(t, err)
			p := rotate.Processes{Observer: replica{nodes{file: []*x509.Certificate{signer.Cert}}, c.created}, Now: func() time.Time { return pkitest.Now }}
			got, err := p.Running(t.Context(), s, rotate.Look{})
			must(t, err)
			one := func(have []string, want string) bool {
				return want == "" && len(have) == 0 || want != "" && len(have) == 1 && strings.HasPrefix(have[0], "etcd in pod clustermesh-apiserver-0: "+want)
			}
			if !one(got.EtcdBehind, c.behind) || !one(got.EtcdUnknown, c.unknown) {
				t.Errorf("behind %q, unknown %q", got.EtcdBehind, got.EtcdUnknown)
			}
		})
	}
}
