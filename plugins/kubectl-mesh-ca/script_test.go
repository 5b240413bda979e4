package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/keytest"
	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

const ciliumNamespace = "kube-system"

// TestScripts runs kubectl mesh-ca as a user does, against the lab. Its own commands:
//
//	keep CONTEXT...        restore cilium-ca, the leaf certificates, the peers' configurations and the marks of the workloads at the end, and remove backups
//	authority NAME CN      make a CA with a new key, for the commands below (cases_test.go)
//	putca, putleaf, putentry, putcopies  write a CA, a leaf certificate, an entry of a Secret, or copies of a peer's certificate
//	renew CONTEXT SECRET...  sign leaf certificates again with the cluster's cilium-ca and replace their ca.crt, as a Helm upgrade does
//	newca CONTEXT KIND     write a new cilium-ca: fresh, expired, mismatch (key of another) or leaf (may not sign)
//	nokey CONTEXT [NAMESPACE/]SECRET FILE...  no piece of the Secret's private key is in the files, in any form that package keytest knows
//	loud CODE|any ARG...   run kubectl mesh-ca ARG... -v=10; it exits with CODE and shows no key of any Secret of the lab (loud_test.go)
//	everycommand           fail unless loud has run every command of mesh-ca
func TestScripts(t *testing.T) {
	labtest.Run(t, "testdata/script", labtest.Commands{
		"keep": keep, "renew": renew, "newca": newCA, "nokey": noKey,
		"loud": loud, "everycommand": everyCommand,
		"authority": makeAuthority, "putca": putAuthority, "putleaf": putLeaf, "putentry": putEntry, "putcopies": putCopies, "tempnamespace": tempNamespace,
	})
}

// client reaches a cluster of the lab as its administrator.
func client(ts *testscript.TestScript, contextName string) kubernetes.Interface {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: os.Getenv("MESHLAB_KUBECONFIG")}, &clientcmd.ConfigOverrides{CurrentContext: contextName}).ClientConfig()
	ts.Check(err)
	c, err := kubernetes.NewForConfig(config)
	ts.Check(err)
	return c
}

func keep(ts *testscript.TestScript, neg bool, contexts []string) {
	if neg || len(contexts) == 0 {
		ts.Fatalf("usage: keep CONTEXT...")
	}
	names := []string{pki.SecretCA, "cilium-clustermesh", "cilium-kvstoremesh"}
	for _, spec := range pki.LeafSpecs() {
		names = append(names, spec.Secret)
	}
	for _, c := range contexts {
		keepInstall(ts, c)
		api := client(ts, c).CoreV1().Secrets(ciliumNamespace)
		for _, name := range names {
			was, err := api.Get(context.Background(), name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				ts.Defer(func() {
					if err := api.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
						ts.Logf("remove %s in %s: %v", name, c, err)
					}
				})
				continue
			}
			ts.Check(err)
			ts.Defer(func() {
				// Recreated, not updated: a test may have made it immutable.
				if err := api.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					ts.Logf("restore %s in %s: %v", name, c, err)
				}
				fresh := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: was.Labels, Annotations: was.Annotations}, Type: was.Type, Data: was.Data}
				manager := "helm"
				if len(was.ManagedFields) > 0 {
					manager = was.ManagedFields[0].Manager
				}
				if _, err := api.Create(context.Background(), fresh, metav1.CreateOptions{FieldManager: manager}); err != nil {
					ts.Logf("restore %s in %s: %v", name, c, err)
				}
			})
		}
		ts.Defer(func() {
			if err := api.DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "mesh.kubectl.io/backup-of"}); err != nil {
				ts.Logf("remove backups in %s: %v", c, err)
			}
		})
	}
}

func renew(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: renew CONTEXT SECRET...")
	}
	api := client(ts, args[0]).CoreV1().Secrets(ciliumNamespace)
	authority, err := api.Get(context.Background(), pki.SecretCA, metav1.GetOptions{})
	ts.Check(err)
	issuer, err := pki.ParseCertificates(authority.Data[pki.KeyCACert])
	ts.Check(err)
	for _, name := range args[1:] {
		leaf, err := api.Get(context.Background(), name, metav1.GetOptions{})
		ts.Check(err)
		was, err := pki.ParseCertificates(leaf.Data[pki.KeyTLSCert])
		ts.Check(err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: was[0].Subject, NotBefore: was[0].NotBefore, NotAfter: was[0].NotAfter, KeyUsage: was[0].KeyUsage,
			ExtKeyUsage: was[0].ExtKeyUsage, DNSNames: was[0].DNSNames, IPAddresses: was[0].IPAddresses, BasicConstraintsValid: true,
		}
		cert, key := sign(ts, template, issuer[0], signer(ts, authority.Data[pki.KeyCAKey]))
		leaf.Data = map[string][]byte{pki.KeyTLSCert: cert, pki.KeyTLSKey: key, pki.KeyCACert: authority.Data[pki.KeyCACert]}
		_, err = api.Update(context.Background(), leaf, metav1.UpdateOptions{FieldManager: "helm"})
		ts.Check(err)
	}
}

func newCA(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: newca CONTEXT fresh|expired|mismatch|leaf")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Cilium CA"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	switch args[1] {
	case "expired":
		template.NotAfter = time.Now().Add(-24 * time.Hour)
	case "leaf":
		template.IsCA, template.KeyUsage = false, x509.KeyUsageDigitalSignature
	case "fresh", "mismatch":
	default:
		ts.Fatalf("newca: %s?", args[1])
	}
	cert, key := sign(ts, template, template, nil)
	if args[1] == "mismatch" {
		_, key = sign(ts, template, template, nil)
	}
	api := client(ts, args[0]).CoreV1().Secrets(ciliumNamespace)
	have, err := api.Get(context.Background(), pki.SecretCA, metav1.GetOptions{})
	ts.Check(err)
	have.Data = map[string][]byte{pki.KeyCACert: cert, pki.KeyCAKey: key}
	_, err = api.Update(context.Background(), have, metav1.UpdateOptions{FieldManager: "helm"})
	ts.Check(err)
}

// sign makes a certificate with a new key; without a parent's key it signs itself.
func sign(ts *testscript.TestScript, template, parent *x509.Certificate, parentKey crypto.Signer) (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	if parentKey == nil {
		parentKey = private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), parentKey)
	ts.Check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// signer reads a CA's key, whatever its encoding.
func signer(ts *testscript.TestScript, data []byte) crypto.Signer {
	block, _ := pem.Decode(data)
	if block == nil {
		ts.Fatalf("%s has no key", pki.SecretCA)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	ts.Check(err)
	s, ok := key.(crypto.Signer)
	if !ok {
		ts.Fatalf("a key of type %T signs nothing", key)
	}
	return s
}

func noKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: nokey CONTEXT [NAMESPACE/]SECRET FILE...")
	}
	namespace, name, ok := strings.Cut(args[1], "/")
	if !ok {
		namespace, name = ciliumNamespace, args[1]
	}
	secret, err := client(ts, args[0]).CoreV1().Secrets(namespace).Get(context.Background(), name, metav1.GetOptions{})
	ts.Check(err)
	keys := keytest.New()
	without := keys.Keys()
	for _, value := range secret.Data {
		keys.Take(value)
	}
	if keys.Keys() == without {
		ts.Fatalf("secret %s has no key to look for", args[1])
	}
	for _, file := range args[2:] {
		content := ts.ReadFile(file)
		if content == "" {
			ts.Fatalf("%s is empty: nothing was searched", file)
		}
		if form, at := keys.Find(content); at >= 0 {
			ts.Fatalf("%s shows the private key of %s in %s (%s)", file, args[1], args[0], form)
		}
	}
}
