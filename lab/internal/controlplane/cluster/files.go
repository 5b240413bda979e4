// Package cluster lays out one cluster of the lab before its control plane runs:
// which addresses it gets, its certificates, its kubeconfig files. It knows what a
// Kubernetes control plane must be given, but does not run one and imports nothing
// of k8s.io/kubernetes: it is part of the light command. What runs the control
// plane is package server.
package cluster

import "path/filepath"

// Files are the files in a cluster's directory that its control plane reads.
type Files string

// CACert is the certificate of the cluster's own authority.
func (f Files) CACert() string { return f.path("pki", "ca.crt") }

// ServingCert is the API server's certificate.
func (f Files) ServingCert() string { return f.path("pki", "apiserver.crt") }

// ServingKey is the key of ServingCert.
func (f Files) ServingKey() string { return f.path("pki", "apiserver.key") }

// KubeletClientCert is the certificate that the API server shows to kubelets.
func (f Files) KubeletClientCert() string { return f.path("pki", "apiserver-kubelet-client.crt") }

// KubeletClientKey is the key of KubeletClientCert.
func (f Files) KubeletClientKey() string { return f.path("pki", "apiserver-kubelet-client.key") }

// KubeletServingCert is the certificate of the cluster's kubelets.
func (f Files) KubeletServingCert() string { return f.path("pki", "kubelet.crt") }

// KubeletServingKey is the key of KubeletServingCert.
func (f Files) KubeletServingKey() string { return f.path("pki", "kubelet.key") }

// ServiceAccountKey signs service account tokens.
func (f Files) ServiceAccountKey() string { return f.path("pki", "sa.key") }

// AdminKubeconfig is for the lab itself; users get kubeconfig files with the same
// credentials at the top of the state directory.
func (f Files) AdminKubeconfig() string { return f.path("admin.kubeconfig") }

// ControllerManagerKubeconfig is for the controller-manager.
func (f Files) ControllerManagerKubeconfig() string { return f.path("controller-manager.kubeconfig") }

// EtcdDir is etcd's data directory, relative to the cluster's directory, which is
// the working directory of the cluster's process.
func (f Files) EtcdDir() string { return f.path("etcd") }

// AuditPolicy is the policy of the API server's audit log. Without it there is no log.
func (f Files) AuditPolicy() string { return f.path("audit-policy.yaml") }

// AuditLog is the API server's audit log, one JSON document a line.
func (f Files) AuditLog() string { return f.path("audit.log") }

// Installed marks a cluster into which Cilium's objects have been written.
func (f Files) Installed() string { return f.path("installed") }

func (f Files) path(elem ...string) string {
	return filepath.Join(append([]string{string(f)}, elem...)...)
}
