package federate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

const configSecret = "cilium-clustermesh"

// copying is a mesh without KVStoreMesh whose agents see copies of their peers' certificates, too.
type copying struct{ *modeltest.World }

func (o copying) Running(ctx context.Context, s *ca.State, look rotate.Look) (rotate.Running, error) {
	out, err := o.World.Running(ctx, s, look)
	for name, data := range s.Secrets[configSecret].Object.Data {
		if !strings.HasSuffix(name, ".crt") {
			continue
		}
		certs, err := pki.ParseCertificates(data)
		if err != nil {
			return out, err
		}
		seen := rotate.Seen{Where: name, Certs: certs, Copy: s.IsCopy(pki.DirClusterMesh + "/" + name)}
		if strings.HasSuffix(name, "-ca.crt") {
			out.Files = append(out.Files, seen)
		} else {
			out.Presented = append(out.Presented, seen)
		}
	}
	return out, err
}

// withoutKVStoreMesh is an installation whose agents connect to the peers.
func withoutKVStoreMesh(in catest.Install) catest.Install {
	in.Workloads = func(d *appsv1.Deployment, _ *appsv1.DaemonSet) {
		spec := &d.Spec.Template.Spec
		spec.Containers = slices.DeleteFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == "kvstoremesh" })
	}
	return in
}

// newCopying makes every cluster connect to every other one with copies of its remote certificate, as clustermesh.config.clusters[].tls does.
func newCopying(t testing.TB, method string, names ...string) *world {
	w := newWorldOf(t, func(string, int) catest.Install { return withoutKVStoreMesh(install(method)) }, names...)
	for _, p := range w.Mesh {
		for _, peer := range w.Mesh {
			if p != peer {
				w.copyTo(p, peer.Name, peer.Secret(pki.SecretRemote).Data)
			}
		}
	}
	return w
}

func (w *world) copyTo(p *modeltest.Process, peer string, from map[string][]byte) {
	secret := p.Secret(configSecret)
	stem := peer + ".etcd-client"
	file := pki.DirClusterMesh + "/" + stem
	data := map[string][]byte{stem + ".crt": from["tls.crt"], stem + ".key": from["tls.key"], stem + "-ca.crt": from["ca.crt"]}
	data[peer] = fmt.Appendf(nil, "endpoints:\n- https://%s.mesh.cilium.io:2379\ntrusted-ca-file: %s-ca.crt\nkey-file: %s.key\ncert-file: %s.crt\n", peer, file, file, file)
	for name, old := range secret.Data {
		if data[name] == nil {
			data[name] = old
		}
	}
	secret.Data = data
	p.Put("secrets", secret)
}

// TestCopies: nobody writes copies of peers' certificates, and federate does not wait for that. Afterwards they are not needed.
func TestCopies(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen", "hand"} {
		for _, names := range [][]string{{"us", "eu"}, {"us", "eu", "ap"}} {
			for _, files := range []bool{false, true} {
				t.Run(fmt.Sprint(method, " ", len(names), " ", files), func(t *testing.T) {
					t.Parallel()
					w := newCopying(t, method, names...)
					report, err := w.run(-1, func(c *federate.Config) { c.Observer, c.FilesOnly = copying{w.World}, files })
					if err != nil || len(report.Waiting) > 0 {
						t.Fatal(err, report.Waiting)
					}
					w.trusted("federated")
					steps := 0
					for _, s := range report.NextSteps {
						if strings.Contains(s.Reason, "They are not needed any more: remove tls of ") && len(s.Objects) == 2 {
							steps++
						}
					}
					if want := len(names) * (len(names) - 1); steps != want && !files || steps > 0 && files {
						t.Errorf("%d copies are not needed any more: %+v", steps, report.NextSteps)
					}
					w.Kept, w.Grows = map[string]bool{}, false
					writes := len(w.Log)
					_, err = w.run(-1, func(c *federate.Config) {
						c.Action, c.AllowDisconnect, c.Observer = federate.Off, true, copying{w.World}
					})
					if err == nil || !strings.Contains(err.Error(), "with copies of its certificates (secret/cilium-clustermesh[") || len(w.Log) != writes+1 {
						t.Errorf("%v, it wrote %v", err, w.Log[writes+1:])
					}
				})
			}
		}
	}
}

// TestStaleCopies: if copies are not accepted by the peer, no command would see the clusters connected.
func TestStaleCopies(t *testing.T) {
	t.Parallel()
	w := newCopying(t, "hand", "us", "eu")
	former := pkitest.NewCA(t, pkitest.Spec{})
	w.copyTo(w.Mesh[0], "eu", former.LeafSecrets(t, "eu")[pki.SecretRemote])
	for _, action := range []federate.Action{federate.Federate, federate.Repair} {
		writes := len(w.Log)
		report, err := w.run(-1, func(c *federate.Config) { c.Action, c.Observer = action, copying{w.World} })
		const want = "us connects to eu with copies of its certificates (secret/cilium-clustermesh[eu.etcd-client.crt], secret/cilium-clustermesh[eu.etcd-client-ca.crt]), and that would still fail: "
		if err == nil || !strings.Contains(err.Error(), want) || len(w.Log) != writes+1 || len(report.Changes) > 0 {
			t.Errorf("%s: %v, it wrote %v", action, err, w.Log[writes+1:])
		}
	}
}

// TestUntracked: with a recipe that waits for processes to load CA files, the time of their last write must be known. A restart would not make it known.
func TestUntracked(t *testing.T) {
	t.Parallel()
	untracked := func(method string) *world {
		return newWorldOf(t, func(string, int) catest.Install {
			in := install(method)
			in.Edit = func(s map[string]*corev1.Secret) { s[pki.SecretServer].ManagedFields = nil }
			return in
		}, "us", "eu")
	}
	w := untracked("helm")
	writes := len(w.Log)
	report, err := w.run(-1, nil)
	if err == nil || !strings.Contains(err.Error(), "us: cannot determine when secret/clustermesh-apiserver-server-cert[ca.crt] was written") || len(w.Log) != writes+1 || len(report.Changes) > 0 {
		t.Errorf("%v, it wrote %v", err, w.Log[writes+1:])
	}
	untracked("certgen").federate() // nothing has to be loaded
}
