//go:build unix && (kill || charts)

package killtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// The kinds of sequences, by seed.
const (
	rotateHelm = iota
	rotateCertgen
	rotateMixed
	federateOwn
	repairOne
	kindsOfSequences
)

func kindOf(seed uint64) int { return int(seed % kindsOfSequences) }

// mesh installs the mesh of a sequence.
func (l *lab) mesh(t *testing.T, seed uint64) *mesh {
	t.Helper()
	m := &mesh{t: t}
	one := m.newCA(seed%2 == 0)
	certgen := func(c catest.Install) catest.Install {
		c.Method, c.CronJobs = "certgen", []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}
		return c
	}
	install := func(cluster string) catest.Install {
		c := catest.Install{CA: one}
		switch kindOf(seed) {
		case rotateCertgen, repairOne:
			return certgen(c)
		case rotateMixed:
			if cluster != l.sites[0].Name {
				return certgen(c)
			}
		case federateOwn:
			c.CA = m.newCA(len(cluster)%2 == 0)
			if seed/kindsOfSequences%2 == 0 {
				return certgen(c)
			}
		}
		return c
	}
	return newMesh(t, l.sites, l.keys, fmt.Sprintf("mesh-%d-%d", os.Getpid(), seed), seed, func(m *mesh, s *site, id int) { m.install(s, id, install(s.Name)) })
}

func (s *sequence) play(seed uint64) {
	switch kindOf(seed) {
	case federateOwn:
		s.federate()
	case repairOne:
		s.repair()
	default:
		s.rotate()
	}
}

// writesOf is about how many writes a command of a rotation of three clusters sends.
const writesOf = 40

// rotate goes into a rotation, is killed there, and goes on or back.
func (s *sequence) rotate() {
	steps := [][]string{{"start"}, {"start", "continue"}, {"start", "continue", "finish"}, {"start", "abort"}, {"start", "continue", "abort"}}[s.draw(5)]
	for n, action := range steps {
		last := n == len(steps)-1
		if last || s.draw(3) == 0 {
			s.killed(writesOf, "rotate", action, "--yes")
		}
		if !last {
			s.onward(action)
		}
	}
	const few = 3
	if len(s.kills) == 0 { // every command ended too soon
		action := "start"
		if s.position().UnderWay {
			action = "abort"
		}
		s.killed(few, "rotate", action, "--yes")
	}
	back := steps[len(steps)-1] == "abort" || steps[len(steps)-1] != "finish" && s.draw(2) == 0
	s.toTheEnd(back)
}

// onward ends a command that was killed, or was not run yet.
func (s *sequence) onward(action string) {
	p := s.position()
	if action == "start" && p.UnderWay {
		action = "continue" // which also ends what start began
	}
	if action == "continue" && len(p.Next) > 0 && strings.Contains(p.Next[0].Command, "rotate finish") {
		return
	}
	s.succeed("rotate", action, "--yes")
}

// toTheEnd ends the rotation, with the new CA or with the previous one.
func (s *sequence) toTheEnd(back bool) {
	const most = 6
	for range most {
		p := s.position()
		if !p.UnderWay && len(p.Next) == 0 { // a clean-up that was killed has steps left
			if !back && !s.isNew() {
				s.succeed("rotate", "start", "--yes")
				continue
			}
			s.ended()
			return
		}
		action := "continue"
		switch {
		case back:
			action = "abort"
		case len(p.Next) > 0 && strings.Contains(p.Next[0].Command, "rotate finish"):
			action = "finish"
		}
		s.succeed("rotate", action, "--yes")
	}
	s.t.Fatalf("the rotation does not end: %+v", s.position())
}

func (s *sequence) isNew() bool {
	name := s.names[0]
	signer, err := pki.ParseSigner(source{s.sites[name], s.namespace}.Secret(pki.SecretCA).Data)
	must(s.t, err)
	return !signer.Cert.Equal(s.first[name].Cert)
}

// ended: everything is as it must be after a rotation.
func (s *sequence) ended() {
	old := !s.isNew()
	s.log = append(s.log, fmt.Sprintf("ended with the first CA: %t", old))
	for _, name := range s.names {
		site := s.sites[name]
		exists := func(configMap string) bool {
			_, err := site.client.CoreV1().ConfigMaps(s.namespace).Get(s.t.Context(), configMap, metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				s.t.Error(err)
			}
			return err == nil
		}
		for _, problem := range modeltest.Ended(source{site, s.namespace}, exists, old, s.first[name].Cert) {
			s.t.Errorf("%s: %s", name, problem)
		}
		jobs, err := site.client.BatchV1().CronJobs(s.namespace).List(s.t.Context(), metav1.ListOptions{})
		must(s.t, err)
		for _, job := range jobs.Items {
			if job.Spec.Suspend != nil && *job.Spec.Suspend {
				s.t.Errorf("%s: cronjob/%s is still suspended", name, job.Name)
			}
		}
	}
	s.becomesConnected()
}

// becomesConnected waits until every client has connected to every etcd.
func (m *mesh) becomesConnected() {
	m.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Second) {
		why := m.connected()
		if why == "" {
			return
		}
		if time.Now().After(end) {
			m.t.Fatal(why)
		}
	}
}

// grows makes it an error that two clusters which trust each other from now on stop to do so.
func (s *sequence) grows(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.Grows = yes
	if !yes {
		s.world.Kept = map[string]bool{}
	}
}

// federate connects clusters with CAs of their own, and separates them again.
func (s *sequence) federate() {
	s.grows(true)
	s.killed(writesOf, "federate", "--yes")
	if s.draw(2) == 0 {
		s.killed(writesOf/2, "federate", "--yes")
	}
	s.succeed("federate", "--yes")
	s.becomesConnected()
	s.grows(false)
	s.killed(writesOf/2, "federate", "--off", "--allow-disconnect", "--yes")
	s.succeed("federate", "--off", "--allow-disconnect", "--yes")
	for _, name := range s.names {
		signer, err := pki.ParseCA(source{s.sites[name], s.namespace}.Secret(pki.SecretCA).Data)
		must(s.t, err)
		if len(signer.Chain) != 1 || !signer.Signer().Equal(s.first[name].Cert) {
			s.t.Errorf("%s: cilium-ca is not as it was", name)
		}
	}
}

// repair heals a mesh in which somebody has given one cluster another CA.
func (s *sequence) repair() {
	s.grows(false)
	name := s.names[s.draw(len(s.names))]
	s.breakCluster(name)
	s.grows(true)
	s.killed(writesOf/2, "rotate", "repair", "--yes")
	if s.draw(2) == 0 {
		s.killed(writesOf/2, "rotate", "repair", "--yes")
	}
	s.succeed("rotate", "repair", "--yes")
	s.becomesConnected()
}

// breakCluster is the naive way: a new CA, new leaf certificates, and a new pod, in one cluster only. OLD is kept where mesh-ca keeps it.
func (s *sequence) breakCluster(name string) {
	site, ctx := s.sites[name], s.t.Context()
	api := site.client.CoreV1().Secrets(s.namespace)
	authority := s.newCA(false)
	signer, err := pki.ParseSigner(authority.CASecret())
	must(s.t, err)
	helm := metav1.UpdateOptions{FieldManager: "cilium-certgen"}
	for _, spec := range append([]string{pki.SecretCA}, leafNames()...) {
		secret, err := api.Get(ctx, spec, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		must(s.t, err)
		if spec == pki.SecretCA {
			secret.Data = authority.CASecret()
		} else {
			leaf, err := pki.ParseLeaf(secret.Data)
			must(s.t, err)
			made, err := signer.Reissue(leaf.Cert(), time.Now())
			must(s.t, err)
			secret.Data = map[string][]byte{pki.KeyTLSCert: made.CertPEM(), pki.KeyTLSKey: made.KeyPEM(), pki.KeyCACert: authority.CertPEM}
		}
		_, err = api.Update(ctx, secret, helm)
		must(s.t, err)
	}
	s.keys.note(site.client, s.namespace)
	s.first[name] = signer
	pod := site.newest(s.namespace)
	must(s.t, site.client.CoreV1().Pods(s.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}))
	for end := time.Now().Add(patience); ; time.Sleep(nodeTick) {
		if now := site.newest(s.namespace); now != nil && now.UID != pod.UID {
			break
		}
		if time.Now().After(end) {
			s.t.Fatal("the pod was not replaced")
		}
	}
	if s.connected() == "" {
		s.t.Fatal("the clusters are still connected: there is nothing to repair")
	}
}

func leafNames() []string {
	var out []string
	for _, spec := range pki.LeafSpecs() {
		out = append(out, spec.Secret)
	}
	return out
}
