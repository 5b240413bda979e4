package ca_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// TestDue: a CA is due when it has less time left than what its owner will ask for.
func TestDue(t *testing.T) {
	t.Parallel()
	long := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-900 * pkitest.Day), NotAfter: pkitest.Now.Add(195 * pkitest.Day)})
	oneYear := func(s map[string]*corev1.Secret) {
		for name, secret := range s {
			if strings.HasSuffix(name, "-cert") || strings.HasPrefix(name, "hubble-") {
				leaf := long.Issue(t, pkitest.Spec{Name: "x", NotBefore: pkitest.Now.Add(-200 * pkitest.Day), NotAfter: pkitest.Now.Add(165 * pkitest.Day)})
				secret.Data = pkitest.LeafSecret(leaf, long.CertPEM)
			}
		}
	}
	days := func(n int) runtime.Object {
		return record(t, fmt.Sprintf(`{"chart":{"metadata":{"name":"cilium"}},"config":{"clustermesh":{"apiserver":{"tls":{"auto":{"certValidityDuration":%d}}}},"hubble":{"tls":{"auto":{"certValidityDuration":%d}}}}}`, n, n))
	}
	for name, tc := range map[string]struct {
		in   catest.Install
		want time.Duration // from now; 0 for no date
		id   string
	}{
		"one year by Helm":          {catest.Install{Edit: oneYear}, (195 - 365) * pkitest.Day, "CA009"},
		"thirty days by the values": {catest.Install{Edit: oneYear, Objects: []runtime.Object{days(30)}}, (195 - 30) * pkitest.Day, ""},
		"equal to the CA":           {catest.Install{}, 0, ""},
		"by hand":                   {catest.Install{Edit: oneYear, Method: "hand"}, 0, ""},
		"certgen of 1.20":           {catest.Install{Edit: oneYear, Method: "certgen", Version: "1.20.2"}, (195 - 365) * pkitest.Day, "CA025"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := tc.in
			in.CA = &long
			if name == "equal to the CA" {
				in.CA = nil
				fresh := pkitest.NewCA(t, pkitest.Spec{})
				in.CA = &fresh
			}
			r := installs{{"us", in}}.report(t)
			due := r.Clusters[0].CA.DueFrom
			if (due == nil) != (tc.want == 0) || (due != nil && !due.Equal(pkitest.Now.Add(tc.want))) {
				t.Errorf("due from %v", due)
			}
			for _, id := range []string{"CA009", "CA025"} {
				if got := len(findingsOf(r, id)); got != map[bool]int{true: 1, false: 0}[id == tc.id] {
					t.Errorf("%s: %d", id, got)
				}
			}
		})
	}
}

// TestChart120: what breaks with chart 1.20, and what cannot be told.
func TestChart120(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	short := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(300 * pkitest.Day)})
	values := func(config string) []runtime.Object {
		return []runtime.Object{record(t, `{"chart":{"metadata":{"name":"cilium"},"values":{"clustermesh":{"apiserver":{"tls":{"auto":{"enabled":true,"certValidityDuration":1095}}}}}},"config":`+config+`}`)}
	}
	provided := `{"clustermesh":{"apiserver":{"tls":{"auto":{"enabled":false},"server":{"cert":"eA=="},"remote":{"cert":"eA=="}}}}}`
	bare := func(d *appsv1.Deployment, ds *appsv1.DaemonSet) { d.Annotations, ds.Annotations = nil, nil }
	for name, tc := range map[string]struct {
		eu   catest.Install
		want []string
		gaps int
	}{
		"Helm":                         {eu: catest.Install{CA: &one, Objects: values(`{}`)}, want: []string{"CA030 warning"}},
		"Helm, its own validity":       {eu: catest.Install{CA: &one, Objects: values(`{"clustermesh":{"apiserver":{"tls":{"auto":{"certValidityDuration":1000}}}}}`)}},
		"Helm, values unknown":         {eu: catest.Install{CA: &one}, gaps: 1},
		"certgen, the CA is too short": {eu: catest.Install{CA: &short, Method: "certgen", Workloads: bare}, want: []string{"CA025 error"}},
		"certgen, the CA is enough":    {eu: catest.Install{CA: &one, Method: "certgen", Workloads: bare}},
		"certificates in values":       {eu: catest.Install{CA: &one, Method: "hand", Objects: values(provided)}, want: []string{"CA032 error"}},
		"1.20 already":                 {eu: catest.Install{CA: &short, Version: "1.20.2"}},
		"by hand":                      {eu: catest.Install{CA: &short, Method: "hand", Workloads: bare}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, states := pair(catest.Install{CA: &one, Version: "1.20.2"}, tc.eu).read(t)
			found, gaps := ca.Chart120(states, ca.Judgement{Now: pkitest.Now, Warn: 60 * pkitest.Day})
			var got []string
			for _, f := range found {
				got = append(got, f.ID+" "+f.Severity)
			}
			if !slices.Equal(got, tc.want) || len(gaps) != tc.gaps {
				t.Errorf("%v, %d gaps: %+v", got, len(gaps), found)
			}
		})
	}
	// A client that connects by the name that the new certificate does not have.
	_, states := pair(catest.Install{CA: &one, Version: "1.20.2", Edit: func(s map[string]*corev1.Secret) {
		s["cilium-kvstoremesh"].Data["eu"] = bytes.ReplaceAll(peerConfig("eu"), []byte("eu.mesh.cilium.io"), []byte("clustermesh-apiserver.cilium.io"))
	}}, catest.Install{CA: &one, Objects: values(`{"clustermesh":{"apiserver":{"tls":{"auto":{"certValidityDuration":1000}}}}}`)}).read(t)
	found, _ := ca.Chart120(states, ca.Judgement{Now: pkitest.Now})
	if len(found) != 1 || found[0].ID != "CA031" || !strings.Contains(found[0].Message, "us connects to eu by clustermesh-apiserver.cilium.io") {
		t.Errorf("%+v", found)
	}
}
