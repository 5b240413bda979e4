package ca_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// authorities are the CAs that scripts have made, by the directory of the script and the name there. Each run creates new keys.
var authorities = map[string]authority{}

type authority struct {
	cert      *x509.Certificate
	key       crypto.Signer
	pem, text []byte // certificate and key
}

// makeAuthority is the command "authority NAME COMMONNAME".
func makeAuthority(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: authority NAME COMMONNAME")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[1]}, NotBefore: time.Now().Add(-400 * time.Hour), NotAfter: time.Now().Add(26000 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	cert, key := sign(ts, template, template, nil)
	block, _ := pem.Decode(cert)
	parsed, err := x509.ParseCertificate(block.Bytes)
	ts.Check(err)
	authorities[ts.MkAbs(args[0])] = authority{cert: parsed, key: signer(ts, key), pem: cert, text: key}
}

func named(ts *testscript.TestScript, name string) authority {
	a, ok := authorities[ts.MkAbs(name)]
	if !ok {
		ts.Fatalf("no authority %s", name)
	}
	return a
}

// putAuthority is the command "putca CONTEXT NAMESPACE SECRET AUTHORITY".
func putAuthority(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: putca CONTEXT NAMESPACE SECRET AUTHORITY")
	}
	a := named(ts, args[3])
	replace(ts, client(ts, args[0]), args[1], args[2], corev1.SecretTypeOpaque, map[string][]byte{pki.KeyCACert: a.pem, pki.KeyCAKey: a.text})
}

// putLeaf is the command "putleaf CONTEXT NAMESPACE SECRET AUTHORITY COMMONNAME [NAME,...]"; the common name "-" is none.
func putLeaf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: putleaf CONTEXT NAMESPACE SECRET AUTHORITY COMMONNAME [NAME,...]")
	}
	a := named(ts, args[3])
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{Organization: []string{"Example"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(25000 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if args[4] != "-" {
		template.Subject.CommonName = args[4]
	}
	if len(args) > 5 {
		template.DNSNames = strings.Split(args[5], ",")
	}
	cert, key := sign(ts, template, a.cert, a.key)
	replace(ts, client(ts, args[0]), args[1], args[2], corev1.SecretTypeTLS, map[string][]byte{pki.KeyTLSCert: cert, pki.KeyTLSKey: key, pki.KeyCACert: a.pem})
}

// putEntry is the command "putentry CONTEXT NAMESPACE SECRET KEY FILE"; other keys of the Secret stay.
func putEntry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: putentry CONTEXT NAMESPACE SECRET KEY FILE")
	}
	setEntries(ts, client(ts, args[0]), args[1], args[2], map[string][]byte{args[3]: []byte(ts.ReadFile(args[4]))})
}

// putCopies is the command "putcopies CONTEXT PEER PEERCONTEXT": the configuration of a peer with copies of the peer's remote certificate beside it.
func putCopies(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: putcopies CONTEXT PEER PEERCONTEXT")
	}
	remote, err := client(ts, args[2]).CoreV1().Secrets(ciliumNamespace).Get(context.Background(), pki.SecretRemote, metav1.GetOptions{})
	ts.Check(err)
	stem := args[1] + ".etcd-client"
	dir := "/var/lib/cilium/clustermesh/" + stem
	config := fmt.Sprintf("endpoints:\n- https://%s.mesh.cilium.io:32379\ntrusted-ca-file: %s-ca.crt\nkey-file: %s.key\ncert-file: %s.crt\n", args[1], dir, dir, dir)
	setEntries(ts, client(ts, args[0]), ciliumNamespace, "cilium-kvstoremesh", map[string][]byte{
		args[1]: []byte(config), stem + "-ca.crt": remote.Data[pki.KeyCACert], stem + ".crt": remote.Data[pki.KeyTLSCert], stem + ".key": remote.Data[pki.KeyTLSKey],
	})
}

func setEntries(ts *testscript.TestScript, c kubernetes.Interface, namespace, name string, entries map[string][]byte) {
	api := c.CoreV1().Secrets(namespace)
	have, err := api.Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		replace(ts, c, namespace, name, corev1.SecretTypeOpaque, entries)
		return
	}
	ts.Check(err)
	if have.Data == nil {
		have.Data = map[string][]byte{}
	}
	for k, v := range entries {
		have.Data[k] = v
	}
	_, err = api.Update(context.Background(), have, metav1.UpdateOptions{FieldManager: "Terraform"})
	ts.Check(err)
}

// replace writes a Secret as kubectl create does, without marks.
func replace(ts *testscript.TestScript, c kubernetes.Interface, namespace, name string, kind corev1.SecretType, data map[string][]byte) {
	api := c.CoreV1().Secrets(namespace)
	if err := api.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		ts.Check(err)
	}
	_, err := api.Create(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, Data: data}, metav1.CreateOptions{FieldManager: "kubectl-create"})
	ts.Check(err)
}

// keepInstall puts the marks of the workloads and ConfigMap cilium-config of a cluster back at the end of the script.
func keepInstall(ts *testscript.TestScript, contextName string) {
	c := client(ts, contextName)
	config, err := c.CoreV1().ConfigMaps(ciliumNamespace).Get(context.Background(), "cilium-config", metav1.GetOptions{})
	ts.Check(err)
	api, err := c.AppsV1().Deployments(ciliumNamespace).Get(context.Background(), "clustermesh-apiserver", metav1.GetOptions{})
	ts.Check(err)
	agents, err := c.AppsV1().DaemonSets(ciliumNamespace).Get(context.Background(), "cilium", metav1.GetOptions{})
	ts.Check(err)
	ts.Defer(func() {
		ctx := context.Background()
		fresh := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: config.Name, Labels: config.Labels, Annotations: config.Annotations}, Data: config.Data}
		if _, err := c.CoreV1().ConfigMaps(ciliumNamespace).Create(ctx, fresh, metav1.CreateOptions{FieldManager: "helm"}); err != nil && !apierrors.IsAlreadyExists(err) {
			ts.Logf("restore cilium-config in %s: %v", contextName, err)
		}
		if now, err := c.AppsV1().Deployments(ciliumNamespace).Get(ctx, api.Name, metav1.GetOptions{}); err == nil {
			now.Annotations = api.Annotations
			if _, err := c.AppsV1().Deployments(ciliumNamespace).Update(ctx, now, metav1.UpdateOptions{FieldManager: "helm"}); err != nil {
				ts.Logf("restore %s in %s: %v", api.Name, contextName, err)
			}
		}
		if now, err := c.AppsV1().DaemonSets(ciliumNamespace).Get(ctx, agents.Name, metav1.GetOptions{}); err == nil {
			now.Annotations = agents.Annotations
			if _, err := c.AppsV1().DaemonSets(ciliumNamespace).Update(ctx, now, metav1.UpdateOptions{FieldManager: "helm"}); err != nil {
				ts.Logf("restore %s in %s: %v", agents.Name, contextName, err)
			}
		}
	})
}

// tempNamespace is the command "tempnamespace CONTEXT NAME": the namespace is deleted at the end of the script.
func tempNamespace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tempnamespace CONTEXT NAME")
	}
	api := client(ts, args[0]).CoreV1().Namespaces()
	ts.Defer(func() {
		if err := api.Delete(context.Background(), args[1], metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			ts.Logf("delete namespace %s in %s: %v", args[1], args[0], err)
		}
	})
	_, err := api.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: args[1]}}, metav1.CreateOptions{})
	ts.Check(err)
}
