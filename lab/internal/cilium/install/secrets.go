package install

import (
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
)

// nonIdempotent marks, from chart 1.19 on, objects that Helm renders differently every time.
const nonIdempotent = "cilium.io/helm-template-non-idempotent"

// secrets are cilium-ca and the leaf certificates, as the cluster's method writes them.
func secrets(s site, certs *certificates) []Object {
	objects := []Object{caSecret(s, certs.ca)}
	for _, spec := range s.leafSpecs() {
		objects = append(objects, leafSecret(s, spec, certs))
	}
	return objects
}

func caSecret(s site, ca pki.Pair) Object {
	data := map[string][]byte{"ca.crt": ca.Cert, "ca.key": ca.Key}
	switch s.method() {
	case Certgen:
		return object(managerCertgen, &corev1.Secret{ObjectMeta: bareMeta(secretCA), Data: data, Type: corev1.SecretTypeOpaque})
	case CertManager:
		// The Certificate signs itself, so it is its own ca.crt.
		return applied(object(managerIssuing, &corev1.Secret{
			ObjectMeta: issuedMeta(secretCA, issuerSelfSigned, caCommonName, nil, nil), Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"ca.crt": ca.Cert, "tls.crt": ca.Cert, "tls.key": ca.Key},
		}))
	default:
		var labels map[string]string
		if s.minor >= minorMultipleUsers {
			labels = map[string]string{nonIdempotent: "true"}
		}
		return object(managerHelm, &corev1.Secret{ObjectMeta: helmMeta(secretCA, labels), Data: data, Type: corev1.SecretTypeOpaque})
	}
}

func leafSecret(s site, spec leafSpec, certs *certificates) Object {
	pair := certs.leaves[spec.secret]
	secret := &corev1.Secret{
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"ca.crt": certs.ca.Cert, "tls.crt": pair.Cert, "tls.key": pair.Key},
	}
	switch s.method() {
	case Certgen:
		secret.ObjectMeta = bareMeta(spec.secret)
		return object(managerCertgen, secret)
	case CertManager:
		secret.ObjectMeta = issuedMeta(spec.secret, issuerCA, spec.name, spec.dns, spec.ips)
		return applied(object(managerIssuing, secret))
	default:
		secret.ObjectMeta = helmMeta(spec.secret, nil)
		return object(managerHelm, secret)
	}
}

// bareMeta is certgen's: it writes objects without a label.
func bareMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: Namespace}
}

// issuedMeta is cert-manager's: it notes down what the certificate was made from.
func issuedMeta(name, issuer, commonName string, dns []string, ips []net.IP) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: Namespace,
		Labels: map[string]string{"controller.cert-manager.io/fao": "true"},
		Annotations: map[string]string{
			"cert-manager.io/alt-names":        strings.Join(dns, ","),
			"cert-manager.io/certificate-name": name,
			"cert-manager.io/common-name":      commonName,
			"cert-manager.io/ip-sans":          strings.Join(texts(ips), ","),
			"cert-manager.io/issuer-group":     certManagerGroup,
			"cert-manager.io/issuer-kind":      "Issuer",
			"cert-manager.io/issuer-name":      issuer,
			"cert-manager.io/uri-sans":         "",
		},
	}
}

func applied(o Object) Object {
	o.Apply = true
	return o
}

func texts(ips []net.IP) []string {
	result := make([]string, 0, len(ips))
	for _, ip := range ips {
		result = append(result, ip.String())
	}
	return result
}
