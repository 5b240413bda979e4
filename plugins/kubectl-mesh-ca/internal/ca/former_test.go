package ca_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

func backup(of pkitest.CA, name string) runtime.Object {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: catest.Namespace, Labels: map[string]string{"mesh.kubectl.io/backup-of": "cilium-ca"}}, Data: of.CASecret()}
}

// TestFormerCAs: CAs that nobody signs with any more, but that are trusted or whose key still exists.
func TestFormerCAs(t *testing.T) {
	t.Parallel()
	now, old, foreign := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	values := fmt.Sprintf(`{"version":3,"chart":{"metadata":{"name":"cilium","version":"1.18.9"}},"config":{"tls":{"ca":{"cert":%q,"key":"c2VjcmV0"}}}}`, base64.StdEncoding.EncodeToString(old.CertPEM))
	both := now.With(old).CertPEM
	for name, tc := range map[string]struct {
		eu   catest.Install
		want []string
	}{
		"nothing":               {eu: catest.Install{}},
		"the present CA's copy": {eu: catest.Install{Objects: []runtime.Object{backup(now, "cilium-ca-backup-1")}}},
		"a backup":              {eu: catest.Install{Objects: []runtime.Object{backup(old, "cilium-ca-backup-1")}}, want: []string{"CA008 info secret/cilium-ca-backup-1"}},
		"Helm's history":        {eu: catest.Install{Objects: []runtime.Object{record(t, values)}}, want: []string{"CA008 info revision 3 of release cilium"}},
		"trusted and kept":      {eu: catest.Install{UseBundle: true, Bundle: both, Objects: []runtime.Object{backup(old, "cilium-ca-backup-1")}}, want: []string{"CA007 warning configmap/cilium-root-ca.crt[ca.crt], and its key is in secret/cilium-ca-backup-1"}},
		"trusted, no key":       {eu: catest.Install{UseBundle: true, Bundle: both}, want: []string{"CA007 warning configmap/cilium-root-ca.crt[ca.crt]"}},
		"trusted, perhaps a cluster's that was not read": {eu: catest.Install{UseBundle: true, Bundle: now.With(foreign).CertPEM, Edit: func(s map[string]*corev1.Secret) {
			s["cilium-kvstoremesh"].Data["elsewhere"] = peerConfig("elsewhere")
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.eu.CA = &now
			r := pair(catest.Install{CA: &now}, tc.eu).report(t)
			got := append(findingsOf(r, "CA007"), findingsOf(r, "CA008")...)
			if len(got) != len(tc.want) {
				t.Fatalf("%+v", got)
			}
			for i, want := range tc.want {
				id, rest, _ := strings.Cut(want, " ")
				severity, where, _ := strings.Cut(rest, " ")
				if got[i].ID != id || got[i].Severity != severity || !strings.Contains(got[i].Message, where) || !slices.Equal(got[i].Clusters, []string{"eu"}) {
					t.Errorf("%+v", got[i])
				}
			}
		})
	}
}

// TestNotListed: without permission to list Secrets the report is complete, and says what was not searched.
func TestNotListed(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	m, client := catest.Member(t, "us", catest.Install{CA: &one})
	client.PrependReactor("list", "secrets", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
	})
	states := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States
	ca.ReadKept(t.Context(), states, time.Minute)
	r := ca.Report([]*clusters.Member{m}, states, pkitest.Now)
	if !r.Complete || r.Clusters[0].FormerCAsMessage != "no permission to list secrets in namespace kube-system" || states[0].Values.Known {
		t.Errorf("complete %v, %q", r.Complete, r.Clusters[0].FormerCAsMessage)
	}
}
