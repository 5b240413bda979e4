package federate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// plan turns a phase into writes.
func (c Config) plan(m *mesh, phase Phase) (*change.Plan, error) {
	p := &change.Plan{Action: string(c.Action)}
	var first, second []change.Step // of the second, each begins when all of the first have ended
	for _, name := range phase.Clusters {
		one := m.cluster(name)
		before, after, err := c.planCluster(m, one, phase.Kind)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", name, err)
		}
		first, second = append(first, before...), append(second, after...)
	}
	for _, steps := range [][]change.Step{first, second} {
		if len(steps) > 0 {
			p.Phases = append(p.Phases, &change.Phase{Steps: steps})
		}
	}
	return p, m.guard(append(first, second...))
}

// planCluster returns the writes of a phase to one cluster.
func (c Config) planCluster(m *mesh, one *cluster, kind PhaseKind) (first, second []change.Step, err error) {
	chains, trust, err := m.missingIn(one)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case Lock:
		return c.lock(one, append(chains, trust...))
	case Chains:
		first, second = c.edits(m, one, chains, c.Manager)
	case Trust:
		first, second = c.edits(m, one, trust, pki.FieldManagerTrust)
	case Restart:
		if why := one.Untimed(); len(why) > 0 { // since check: nothing would tell the new pods from the old ones
			return nil, nil, errors.New(why[0])
		}
		second = append(second, ca.NewMeshAPIRestart(one.State, one.meshAPI, c.Clock.Now(), c.Manager))
	case Refresh:
		second = ca.NewRefresh(one.State, c.Clock.Now(), c.Manager)
	}
	return first, second, nil
}

// lock takes the lock, and keeps the CA that is going to be written.
func (c Config) lock(one *cluster, edits []edit) (first, second []change.Step, err error) {
	if one.holder().ID != c.ID {
		taken, err := c.take(one)
		if err != nil {
			return nil, nil, err
		}
		first = append(first, taken)
	}
	if e, replaces := find(edits, pki.SecretCA); replaces && !one.keeps() {
		backup := ca.NewBackup(e.secret, pki.Fingerprint(one.own.Cert))
		backup.Name = one.former.Free
		second = append(second, ca.NewCreation(one.State, change.Secret, backup, c.Manager, "keep secret cilium-ca as it is", ca.AccessCreateSecrets()))
	}
	return first, second, nil
}

// edits writes Secrets, cilium-ca first.
func (c Config) edits(m *mesh, one *cluster, edits []edit, manager string) (first, second []change.Step) {
	for _, e := range edits {
		if e.secret.Name == pki.SecretCA {
			first = append(first, ca.NewSecretPatch(one.State, e.secret, e.data, c.Manager, m.text(caText)))
			continue
		}
		what := m.text(trustText)
		if _, chain := e.data[pki.KeyTLSCert]; chain {
			what = m.text(chainText)
		}
		second = append(second, ca.NewSecretPatch(one.State, e.secret, e.data, manager, what))
	}
	return first, second
}

// Texts of the writes: when a federation is made, and when it ends.
var (
	caText    = [2]string{"what the leaf certificates are issued from, with the other CAs; the key stays", "what the leaf certificates are issued from, without the other CAs; the key stays"}
	chainText = [2]string{"leaf certificate sent with cross certificates; it and its key stay", "leaf certificate without cross certificates; it and its key stay"}
	trustText = [2]string{"CA file with the other CAs", "CA file without the other CAs"}
)

func (m *mesh) text(of [2]string) string {
	if m.off {
		return of[1]
	}
	return of[0]
}

// sentence says what a phase does.
func (m *mesh) sentence(p Phase) string {
	where := strings.Join(p.Clusters, ", ")
	verb := m.text([2]string{"Adding", "Removing"})
	switch p.Kind {
	case Lock:
		return "Taking the lock in " + where + ", and keeping what is replaced."
	case Chains:
		return verb + " cross certificates in " + where + "."
	case Trust:
		return verb + " the CAs of the other clusters in the CA files of " + where + "."
	case Restart:
		return "Replacing the pods of clustermesh-apiserver in " + where + "."
	}
	return "Making clients connect again in " + where + "."
}
