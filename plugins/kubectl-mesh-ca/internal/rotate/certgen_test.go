package rotate_test

import (
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// TestCertgenVersion: a rotation does not write cross certificates for a certgen that is not known to sign with them. An emergency writes one certificate, which every version takes.
func TestCertgenVersion(t *testing.T) {
	t.Parallel()
	for image, reason := range map[string]string{
		"quay.io/cilium/certgen:v0.3.1":             "",
		"quay.io/cilium/certgen:v0.4.11@sha256:00":  "",
		"registry:5000/certgen:0.4.5":               "",
		"quay.io/cilium/certgen:v0.3.0":             "this is v0.3.0",
		"quay.io/cilium/certgen:v0.1.20":            "this is v0.1.20",
		"quay.io/cilium/certgen:v0.5.0":             "this is v0.5.0",
		"quay.io/cilium/certgen:v1.0.0":             "this is v1.0.0",
		"quay.io/cilium/certgen@sha256:00":          "does not tell its version",
		"registry:5000/certgen":                     "does not tell its version",
		"quay.io/cilium/certgen:latest@sha256:0123": "does not tell its version",
	} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 16, func(name string, ca *pkitest.CA) catest.Install {
				in := mixed(name, ca)
				in.Certgen = image
				return in
			}, "us", "eu")
			for _, action := range []rotate.Action{rotate.Plan, rotate.Start} {
				writes := len(w.Log)
				_, err := w.run(action, "", -1)
				if (err == nil) != (reason == "") || err != nil && (!strings.Contains(err.Error(), "eu: ") || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "us: ") || len(w.Log) != writes+1) {
					t.Errorf("%s: %v, %d writes", action, err, len(w.Log)-writes-1)
				}
			}
			if reason == "" {
				return
			}
			if report, err := w.run(rotate.Plan, rotate.Emergency, -1); err != nil {
				t.Error(err, report)
			}
		})
	}
}

// TestCertgenRefusesMeanwhile: certgen of chart 1.20 does not sign while the file contains a CA that ends soon. That is when a CA is rotated, so that it is a warning.
func TestCertgenRefusesMeanwhile(t *testing.T) {
	t.Parallel()
	soon := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(100 * pkitest.Day)})
	w := newWorld(t, 17, func(name string, _ *pkitest.CA) catest.Install {
		return byCertgen(name, &soon)
	}, "us", "eu")
	for _, p := range w.Mesh {
		for _, name := range byCertgen("", nil).CronJobs {
			job := catest.CronJob(name, "")
			c := &job.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
			c.Args = []string{"--ca-enforce-validity-throughout-leaves-duration", "--hubble-server-cert-validity-duration=8760h"}
			p.Put("cronjobs", job)
		}
	}
	report, err := w.run(rotate.Plan, "", -1)
	if text := strings.Join(report.Warnings, "\n"); err != nil || !strings.Contains(text, "eu, us: certgen does not sign while secret cilium-ca contains the previous CA") {
		t.Errorf("%v %s", err, text)
	}
}
