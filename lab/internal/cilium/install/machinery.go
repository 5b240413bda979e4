package install

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
)

const (
	meshCertgen   = "clustermesh-apiserver-generate-certs"
	hubbleCertgen = "hubble-generate-certs"
	// certgenSchedule is the charts' for Hubble, and what `cilium clustermesh enable`
	// sets for Cluster Mesh: the first of every fourth month.
	certgenSchedule = "0 0 1 */4 *"
	// labManager keeps the controller-manager from running certgen again: its image
	// has no process in the lab, so a Job of it would never be done.
	labManager = "lab.kubectl-mesh.io/already-done"
)

const (
	certManagerGroup = "cert-manager.io"
	issuerSelfSigned = "cilium-selfsigned"
	issuerCA         = "cilium"
)

// certificateMachinery is what made the certificates and will renew them.
func certificateMachinery(s site) []Object {
	switch s.method() {
	case Certgen:
		return certgenJobs(s)
	case CertManager:
		return certManagerObjects(s)
	default:
		return nil
	}
}

func certgenJobs(s site) []Object {
	var objects []Object
	for _, name := range []string{meshCertgen, hubbleCertgen} {
		labels := map[string]string{"k8s-app": name, "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "cilium"}
		spec := certgenSpec(s, name)
		objects = append(objects,
			object(managerHelm, &batchv1.CronJob{
				ObjectMeta: helmMeta(name, labels),
				Spec: batchv1.CronJobSpec{
					Schedule: certgenSchedule, ConcurrencyPolicy: batchv1.ForbidConcurrent, JobTemplate: batchv1.JobTemplateSpec{Spec: spec},
				},
			}),
			certgenRun(s, name, labels, spec),
		)
	}
	return objects
}

// certgenRun is the Job of the installation, done. Up to 1.18 it is a hook of the
// Helm release and removed half an hour later; from 1.19 on it is an object of the
// release whose name has a checksum, and stays.
func certgenRun(s site, name string, labels map[string]string, spec batchv1.JobSpec) Object {
	meta := helmMeta(name, labels)
	if s.minor >= minorMultipleUsers {
		sum := sha256.Sum256(fmt.Appendf(nil, "%v", spec.Template.Spec.Containers))
		const checksumLength = 5
		meta.Name += "-" + hex.EncodeToString(sum[:checksumLength])
		spec.TTLSecondsAfterFinished = nil
	} else {
		meta.Annotations = map[string]string{"helm.sh/hook": "post-install,post-upgrade"}
	}
	spec.ManagedBy = ptr.To(labManager)
	started, done := metav1.NewTime(s.now), metav1.NewTime(s.now.Add(2*time.Second))
	job := &batchv1.Job{ObjectMeta: meta, Spec: spec, Status: batchv1.JobStatus{
		StartTime: &started, CompletionTime: &done, Succeeded: 1, Ready: ptr.To[int32](0),
		UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
		Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonCompletionsReached, LastProbeTime: done, LastTransitionTime: done},
			{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonCompletionsReached, LastProbeTime: done, LastTransitionTime: done},
		},
	}}
	result := object(managerHelm, job)
	result.StatusManager = labManager
	return result
}

func certgenSpec(s site, name string) batchv1.JobSpec {
	image := "quay.io/cilium/certgen:v0.4.5"
	caFlags := []string{"--ca-generate=true", "--ca-reuse-secret", "--ca-secret-namespace=" + Namespace, "--ca-secret-name=" + secretCA, "--ca-common-name=" + caCommonName}
	if s.minor < minorCertgenBundles {
		image = "quay.io/cilium/certgen:v0.3.1"
	}
	args := append([]string{"--cilium-namespace=" + Namespace}, caFlags...)
	for _, leaf := range s.leafSpecs() {
		if (leaf.secret == secretHubble) != (name == hubbleCertgen) {
			continue
		}
		flag := map[string]string{
			secretServer: "--clustermesh-apiserver-server-cert", secretAdmin: "--clustermesh-apiserver-admin-cert",
			secretRemote: "--clustermesh-apiserver-remote-cert", secretLocal: "--clustermesh-apiserver-local-cert",
			secretHubble: "--hubble-server-cert",
		}[leaf.secret]
		args = append(args, flag+"-generate", flag+"-common-name="+leaf.name,
			fmt.Sprintf("%s-validity-duration=%ds", flag, int(leaf.validity.Seconds())))
	}
	const keepSeconds = 1800
	return batchv1.JobSpec{
		TTLSecondsAfterFinished: ptr.To[int32](keepSeconds),
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": name}},
			Spec: corev1.PodSpec{
				ServiceAccountName: name, HostNetwork: true, RestartPolicy: corev1.RestartPolicyOnFailure,
				Containers: []corev1.Container{{Name: "certgen", Image: image, Command: []string{"/usr/bin/cilium-certgen"}, Args: args}},
			},
		},
	}
}

func certificateKind() kind {
	return kind{certManagerGroup, "v1", "Certificate", "certificates", []string{"cert", "certs"}, true}
}

func issuerKind() kind { return kind{certManagerGroup, "v1", "Issuer", "issuers", nil, true} }

func certManagerKinds() []kind {
	return []kind{
		certificateKind(), issuerKind(),
		{certManagerGroup, "v1", "ClusterIssuer", "clusterissuers", nil, false},
		{certManagerGroup, "v1", "CertificateRequest", "certificaterequests", []string{"cr", "crs"}, true},
	}
}

// certManagerObjects are an authority that cert-manager keeps in Secret cilium-ca,
// set up by a person, and the Certificates of Cilium's chart.
func certManagerObjects(s site) []Object {
	objects := []Object{
		issuer(managerUser, issuerSelfSigned, map[string]any{"selfSigned": map[string]any{}}, s.now),
		certificate(managerUser, metav1.ObjectMeta{Name: secretCA, Namespace: Namespace}, issuerSelfSigned, caCommonName, caValidity, map[string]any{"isCA": true}, s.now),
		issuer(managerUser, issuerCA, map[string]any{"ca": map[string]any{"secretName": secretCA}}, s.now),
	}
	for _, leaf := range s.leafSpecs() {
		spec := map[string]any{}
		if len(leaf.dns) > 0 {
			spec["dnsNames"] = anys(leaf.dns)
		}
		if len(leaf.ips) > 0 {
			spec["ipAddresses"] = anys(texts(leaf.ips))
		}
		objects = append(objects, certificate(managerHelm, helmMeta(leaf.secret, nil), issuerCA, leaf.name, leaf.validity, spec, s.now))
	}
	return objects
}

func issuer(manager, name string, spec map[string]any, now time.Time) Object {
	o := raw(manager, issuerKind().apiVersion(), issuerKind().kind, metav1.ObjectMeta{Name: name, Namespace: Namespace}, map[string]any{
		"spec":   spec,
		"status": map[string]any{"conditions": []any{readyCondition("IsReady", now)}},
	})
	o.StatusManager = managerIssuers
	return o
}

// certificate is a Certificate whose Secret is of the same name. cert-manager renews
// when two thirds of the time are over.
func certificate(manager string, meta metav1.ObjectMeta, issuerName, commonName string, validity time.Duration, spec map[string]any, now time.Time) Object {
	spec["secretName"] = meta.Name
	spec["commonName"] = commonName
	spec["duration"] = validity.String()
	spec["issuerRef"] = map[string]any{"group": certManagerGroup, "kind": "Issuer", "name": issuerName}
	o := raw(manager, certificateKind().apiVersion(), certificateKind().kind, meta, map[string]any{
		"spec": spec,
		"status": map[string]any{
			"conditions":  []any{readyCondition("Ready", now)},
			"notBefore":   now.UTC().Format(time.RFC3339),
			"notAfter":    now.Add(validity).UTC().Format(time.RFC3339),
			"renewalTime": now.Add(validity * 2 / 3).UTC().Truncate(pki.Day).Format(time.RFC3339),
			"revision":    int64(1),
		},
	})
	o.StatusManager = managerReadiness
	return o
}

func readyCondition(reason string, now time.Time) map[string]any {
	return map[string]any{
		"type": "Ready", "status": "True", "reason": reason, "lastTransitionTime": now.UTC().Format(time.RFC3339),
	}
}

func anys(values []string) []any {
	result := make([]any, 0, len(values))
	for _, v := range values {
		result = append(result, v)
	}
	return result
}
