package rotate_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
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

// byJob is certgen without a CronJob, as charts 1.16 to 1.19 install it without a schedule, beside Helm, which issues Hubble's certificates by default.
func byJob(_ string, ca *pkitest.CA) catest.Install {
	return catest.Install{CA: ca, Method: "certgen", Edit: func(secrets map[string]*corev1.Secret) {
		for name, secret := range secrets {
			if strings.HasPrefix(name, "hubble-") {
				secret.ManagedFields[0].Manager = "helm"
				secret.Labels = map[string]string{pki.LabelManagedBy: "Helm"}
				secret.Annotations = map[string]string{pki.AnnotationRelease: "cilium", pki.AnnotationReleaseNamespace: catest.Namespace}
			}
		}
	}}
}

// TestCertgenAfterRotation: after a rotation only managedFields still tell that certgen issues the leaf certificates of Cluster Mesh. Its next Job writes one CA into
// the CA files, so that the next rotation is not one for Helm.
func TestCertgenAfterRotation(t *testing.T) {
	t.Parallel()
	for name, actions := range map[string][]rotate.Action{
		"before":   nil,
		"finished": {rotate.Start, rotate.Continue, rotate.Finish},
		"aborted":  {rotate.Start, rotate.Continue, rotate.Abort},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 18, byJob, "us", "eu")
			for _, action := range actions {
				report, err := w.run(action, "", -1)
				if err != nil {
					t.Fatalf("%s: %v (%v)", action, err, report.Waiting)
				}
			}
			report, err := w.run(rotate.Plan, "", -1)
			warnings := strings.Join(report.Warnings, "\n")
			if err != nil || report.Method != string(rotate.Cross) || report.Clusters[0].Owner != string(pki.OwnerCertgen) || strings.Contains(warnings, "harmless") ||
				!strings.Contains(warnings, "no CronJob tells the version of certgen") || !strings.Contains(warnings, "do not upgrade or roll back release cilium") {
				t.Errorf("%v: %s, %+v\n%s", err, report.Method, report.Clusters, warnings)
			}
			if _, err := w.run(rotate.Plan, rotate.Bundle, -1); err == nil || !strings.Contains(err.Error(), "certgen writes only one CA") {
				t.Errorf("--method bundle: %v", err)
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
