//go:build unix

package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// signer gives each cluster of the mesh leaf certificates of its own, all of one CA: what mesh-ca judges in a large mesh are their signatures.
type signer struct {
	ca     pki.CertKey
	from   string          // the cluster whose leaf Secrets are the model
	models []corev1.Secret // empty if nobody asks for leaf Secrets
}

func newSigner(ctx context.Context, client kubernetes.Interface, leaves bool) (*signer, error) {
	s := &signer{}
	config, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, cilium.ConfigMapName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	s.from = config.Data["cluster-name"]
	if s.ca, err = pki.NewCA(pki.CAOptions{Now: time.Now()}); err != nil {
		return nil, err
	}
	if !leaves {
		return s, nil
	}
	for _, spec := range pki.LeafSpecs() {
		secret, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, spec.Secret, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s.models = append(s.models, *secret)
	}
	return s, nil
}

// secrets adds the answers for the CA and the leaf Secrets of one cluster, and for the configurations that KVStoreMesh reads.
func (s *signer) secrets(own map[string][]byte, name string, peers *corev1.Secret) error {
	add := func(secret corev1.Secret) error {
		raw, err := encode(&secret)
		own["/api/v1/namespaces/"+metav1.NamespaceSystem+"/secrets/"+secret.Name] = raw
		return err
	}
	kvstoremesh := *peers.DeepCopy()
	kvstoremesh.Name = cilium.SecretKVStoreMesh
	for peer := range kvstoremesh.Data {
		kvstoremesh.Data[peer] = []byte("endpoints:\n- https://" + peer + ".mesh.cilium.io:2379\ntrusted-ca-file: /var/lib/cilium/clustermesh/common-etcd-client-ca.crt\n" +
			"key-file: /var/lib/cilium/clustermesh/common-etcd-client.key\ncert-file: /var/lib/cilium/clustermesh/common-etcd-client.crt\n")
	}
	if err := add(kvstoremesh); err != nil {
		return err
	}
	if err := add(corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: pki.SecretCA, Namespace: metav1.NamespaceSystem}, Data: map[string][]byte{pki.KeyCACert: s.ca.CertPEM(), pki.KeyCAKey: s.ca.KeyPEM()}}); err != nil {
		return err
	}
	for _, model := range s.models {
		leaf, err := pki.ParseLeaf(model.Data)
		if err != nil {
			return err
		}
		previous, err := renamed(leaf.Cert(), s.from, name)
		if err != nil {
			return err
		}
		made, err := s.ca.Reissue(previous, time.Now())
		if err != nil {
			return err
		}
		secret := *model.DeepCopy()
		secret.Data = map[string][]byte{pki.KeyTLSCert: made.CertPEM(), pki.KeyTLSKey: made.KeyPEM(), pki.KeyCACert: s.ca.CertPEM()}
		if err := add(secret); err != nil {
			return err
		}
	}
	return nil
}

// renamed is a certificate with the name of another cluster in its names.
func renamed(cert *x509.Certificate, from, to string) (*x509.Certificate, error) {
	out := *cert
	subject := pkix.Name{CommonName: strings.ReplaceAll(cert.Subject.CommonName, from, to)}
	if strings.HasPrefix(cert.Subject.CommonName, "clustermesh") {
		subject.CommonName = cert.Subject.CommonName
	}
	raw, err := asn1.Marshal(subject.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	out.RawSubject, out.DNSNames = raw, nil
	for _, name := range cert.DNSNames {
		if !strings.HasPrefix(name, "clustermesh") {
			name = strings.ReplaceAll(name, "."+from+".", "."+to+".")
		}
		out.DNSNames = append(out.DNSNames, name)
	}
	return &out, nil
}
