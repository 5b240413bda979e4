// Package initca makes one CA for clusters in which Cilium is not installed yet (init): written as Secret cilium-ca so that Helm adopts it, or as Helm values.
package initca

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/carryout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// Config says which CA is made, and for which clusters.
type Config struct {
	kernel.Write

	// Select finds the members in some contexts; without any, those that the flags choose.
	Select func(ctx context.Context, contexts []string) (*clusters.Selection, error)
	// Contexts: the flags choose the contexts. Otherwise In does.
	Contexts bool

	In        []string
	Namespace string // the one in which Cilium will be; empty for the default
	Release   ca.Release
	CA        pki.CAOptions
}

// Report is what init came to. Begun: there is more to show to a person than why it ended.
type Report struct {
	v1alpha1.CAChangeReport

	Begun bool
}

// minCAValidity is the least validity of a new CA: certgen of chart 1.20 refuses one that ends before the leaf certificates, which live for one year.
const minCAValidity = 366 * 24 * time.Hour

// Check returns an error if no CA should be made with the options.
func Check(o pki.CAOptions) error {
	switch {
	case o.KeyType != pki.ECDSA && o.KeyType != pki.RSA:
		return fmt.Errorf("--key-type %q is invalid; it must be one of: %s, %s", o.KeyType, pki.ECDSA, pki.RSA)
	case strings.TrimSpace(o.CommonName) == "":
		return errors.New("--common-name is empty")
	case o.Validity < minCAValidity:
		return fmt.Errorf("--valid-for %s is too short: leaf certificates of chart 1.20 live for 365 days, and their CA must not end before them; use at least %dd", o.Validity, int(minCAValidity.Hours()/24))
	}
	return nil
}

// Values makes a CA and returns it as values of Cilium's chart. They contain the private key.
func Values(o pki.CAOptions) ([]byte, error) {
	if err := Check(o); err != nil {
		return nil, err
	}
	made, err := pki.NewCA(o)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# The CA of a Cilium Cluster Mesh: %s\n# Valid until %s. Use the same values in every cluster of the mesh.\n", made.String(), made.Cert.NotAfter.UTC().Format(time.DateOnly))
	out.WriteString("# tls.ca.key is a private key. Encrypt this file (sops, age), and do not commit it as it is.\n")
	fmt.Fprintf(&out, "tls:\n  ca:\n    cert: %s\n    key: %s\n", base64.StdEncoding.EncodeToString(made.CertPEM()), base64.StdEncoding.EncodeToString(made.KeyPEM()))
	return out.Bytes(), nil
}

// Run gives one new CA to every cluster in question, or to none.
func Run(ctx context.Context, c Config, ui kernel.UI) (*Report, error) {
	if err := Check(c.CA); err != nil {
		return nil, err
	}
	targets, err := c.targets(ctx)
	if err != nil {
		return nil, err
	}
	members := slices.Clone(targets)
	for n, m := range targets {
		switch {
		case m.Err == nil:
			return c.unwritten(members, installed(m))
		case m.Err.Class != failure.NoCilium:
			continue
		}
		targets[n] = m.BeforeCilium(cmp.Or(c.Namespace, cilium.DefaultNamespace))
	}
	read := ca.ReadAll(ctx, targets, c.Change.Timeout)
	if ctx.Err() != nil {
		return c.unwritten(read.Members, ctx.Err())
	}
	if dead := ui.Unread(read.Members...); len(dead) > 0 {
		return c.unwritten(read.Members, fmt.Errorf("%s could not be read; nothing was written in any cluster", strings.Join(dead, ", ")))
	}
	if err := free(read.States); err != nil {
		return c.unwritten(read.Members, err)
	}
	made, err := pki.NewCA(c.CA)
	if err != nil {
		return nil, err
	}
	release := ca.Release{Name: c.Release.Name, Namespace: cmp.Or(c.Release.Namespace, c.Namespace, cilium.DefaultNamespace)}
	plan := ca.Init(made, read.States, release, c.Manager)
	report := func() v1alpha1.CAChangeReport { return plan.Report(read.Members, string(c.DryRun)) }
	declined, err := carryout.Run(ctx, carryout.Job{
		Plan: plan.Change(), Question: fmt.Sprintf("Create a new CA in %s?", strings.Join(names(read.Members), ", ")),
		Show: func() []output.Section { return view.Plan(report()) },
	}, c.Write, ui)
	return &Report{CAChangeReport: report(), Begun: !declined}, err
}

// targets finds the clusters. They have no Cilium, so that they have no other names than those of their contexts.
func (c Config) targets(ctx context.Context) ([]*clusters.Member, error) {
	contexts := c.In
	if c.Contexts {
		contexts = nil
	}
	sel, err := c.Select(ctx, contexts)
	if err != nil {
		return nil, err
	}
	found, err := sel.Resolve("--in", c.In)
	return slices.Clone(found), err
}

func names(members []*clusters.Member) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.Name
	}
	return out
}

// installed is the error for a cluster that has Cilium.
func installed(m *clusters.Member) error {
	return fmt.Errorf("Cilium is installed in %s, and init is for clusters without it; nothing was written in any cluster. To give it the CA of another cluster, use sync; to give it a new CA, use rotate", m.Label()) //nolint:staticcheck // Cilium is a name
}

// free refuses clusters that have a CA, or a part of Cilium whose certificates a CA signed.
func free(states []*ca.State) error {
	var problems []error
	for _, s := range states {
		secret := s.CA()
		switch {
		case secret.Unreadable != "":
			problems = append(problems, fmt.Errorf("%s: cannot determine whether it has a CA: secret %s/%s: %s", s.Member.Label(), s.Namespace, pki.SecretCA, secret.Unreadable))
		case secret.Object != nil:
			problems = append(problems, fmt.Errorf("%s has a CA already: secret %s/%s. To give it the CA of another cluster, use sync; to give it a new CA, use rotate", s.Member.Label(), s.Namespace, pki.SecretCA))
		case s.Side.Agent != nil || s.Side.MeshAPI != nil:
			problems = append(problems, installed(s.Member))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w; nothing was written in any cluster", errors.Join(problems...))
	}
	return nil
}

// unwritten is the report of a change that was not planned.
func (c Config) unwritten(members []*clusters.Member, failure error) (*Report, error) {
	doc := (&ca.InitPlan{}).Report(members, string(c.DryRun))
	doc.Complete = false
	return &Report{CAChangeReport: doc}, failure
}
