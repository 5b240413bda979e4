package pki_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func TestField10CertgenRefuses(t *testing.T) {
	t.Parallel()
	const enforce, config = "--ca-enforce-validity-throughout-leaves-duration", "CILIUM_CERTGEN_CONFIG"
	year := map[string]string{config: "certs:\n- name: a\n  validity: 24h\n- name: b\n  validity: 8760h\n"}
	ca := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(400 * pkitest.Day)})
	short := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(100 * pkitest.Day)})
	for name, tc := range map[string]struct {
		c     pki.Container
		chain []*x509.Certificate
		want  time.Duration // from now; 0 for never
		bad   bool
	}{
		"chart 1.20":              {c: pki.Container{Args: []string{enforce + "=true"}, Env: year}, want: 35 * pkitest.Day},
		"bare flag":               {c: pki.Container{Args: []string{enforce}, Env: year}, want: 35 * pkitest.Day},
		"switched off":            {c: pki.Container{Args: []string{enforce + "=false"}, Env: year}},
		"chart 1.19":              {c: pki.Container{Env: year}},
		"the whole chain counts":  {c: pki.Container{Args: []string{enforce}, Env: year}, chain: []*x509.Certificate{ca.Cert, short.Cert}, want: -265 * pkitest.Day},
		"validity in flags":       {c: pki.Container{Args: []string{enforce, "--clustermesh-apiserver-server-cert-validity-duration=8640000s", "--ca-validity-duration=99999h"}}, want: 300 * pkitest.Day},
		"no validity":             {c: pki.Container{Args: []string{enforce}}},
		"a configuration is junk": {c: pki.Container{Args: []string{enforce}, Env: map[string]string{config: "certs: ["}}, bad: true},
		"a validity is a number":  {c: pki.Container{Args: []string{enforce}, Env: map[string]string{config: "certs: [{validity: 365}]"}}, bad: true},
		"by environment":          {c: pki.Container{Env: map[string]string{config: year[config], "CILIUM_CERTGEN_CA_ENFORCE_VALIDITY_THROUGHOUT_LEAVES_DURATION": "true"}}, want: 35 * pkitest.Day},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.chain == nil {
				tc.chain = []*x509.Certificate{ca.Cert}
			}
			got, err := pki.ParseCertgen(tc.c)
			if (err != nil) != tc.bad {
				t.Fatalf("error %v", err)
			}
			from, refuses := got.Refuses(tc.chain)
			if tc.bad {
				return
			}
			if refuses != (tc.want != 0) || (refuses && !from.Equal(pkitest.Now.Add(tc.want))) {
				t.Errorf("refuses %v from %s", refuses, from)
			}
		})
	}
}

// TestCertgenChains: only versions whose code was read count as known.
func TestCertgenChains(t *testing.T) {
	t.Parallel()
	for image, known := range map[string]bool{
		"quay.io/cilium/certgen:v0.1.20": false, "quay.io/cilium/certgen:v0.2.4": false, "quay.io/cilium/certgen:v0.3.0": false,
		"quay.io/cilium/certgen:v0.3.1": true, "quay.io/cilium/certgen:v0.3.2@sha256:00": true, "registry:5000/certgen:0.4.11": true,
		"quay.io/cilium/certgen:v0.5.0": false, "quay.io/cilium/certgen:v1.3.1": false, "quay.io/cilium/certgen@sha256:00": false, "certgen:latest": false, "": false,
	} {
		got, err := pki.ParseCertgen(pki.Container{Name: "certgen", Image: image})
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Chains(); (err == nil) != known || err != nil && !errors.Is(err, pki.ErrNoChains) {
			t.Errorf("%q: %v", image, err)
		}
	}
}
