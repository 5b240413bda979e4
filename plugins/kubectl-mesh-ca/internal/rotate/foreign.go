package rotate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// foreignWrite is a write to Secrets of the rotation by something else, after the rotation began. Helm, Argo CD and Flux cannot be suspended from here.
type foreignWrite struct {
	manager string
	secrets []string
	at      time.Time // the last one, by the API server's clock
}

func (f foreignWrite) text(cluster string) string {
	return fmt.Sprintf("%s: field manager %q wrote secret %s after the rotation began, last at %s", cluster, f.manager, strings.Join(f.secrets, ", "), f.at.UTC().Format(time.RFC3339))
}

// begun is when the rotation began, by the clock of the cluster: its lock is created before anything that is in use is written. Zero if nobody knows.
func (c *cluster) begun() time.Time {
	if c.lock == nil {
		return time.Time{}
	}
	if at := c.lock.CreationTimestamp; !at.IsZero() {
		return at.Time
	}
	at, err := time.Parse(time.RFC3339, c.lock.Data["since"])
	if err != nil {
		return time.Time{}
	}
	return c.Member.Latest(at)
}

// foreign lists who else has written certificates or keys since the rotation began, one entry for each field manager. A write that was overwritten since is
// not in managedFields any more.
func (c *cluster) foreign(own ...string) []foreignWrite {
	begun := c.begun()
	if begun.IsZero() {
		return nil
	}
	own = append(own, pki.FieldManager, pki.FieldManagerTrust)
	var out []foreignWrite
	for _, name := range append([]string{pki.SecretCA}, leafNames()...) {
		secret := c.Secrets[name].Object
		if secret == nil {
			continue
		}
		for _, f := range secret.ManagedFields {
			if f.Time == nil || !f.Time.After(begun) || slices.Contains(own, f.Manager) || !writesContent(f) {
				continue
			}
			n := slices.IndexFunc(out, func(w foreignWrite) bool { return w.manager == f.Manager })
			if n < 0 {
				n, out = len(out), append(out, foreignWrite{manager: f.Manager})
			}
			if !slices.Contains(out[n].secrets, name) {
				out[n].secrets = append(out[n].secrets, name)
			}
			if f.Time.After(out[n].at) {
				out[n].at = f.Time.Time
			}
		}
	}
	return out
}

// writesContent reports whether an entry of managedFields owns a certificate or a key.
func writesContent(f metav1.ManagedFieldsEntry) bool {
	keys := []owners.Field{owners.Data(pki.KeyCACert), owners.Data(pki.KeyCAKey), owners.Data(pki.KeyTLSCert), owners.Data(pki.KeyTLSKey)}
	return len(owners.Parse([]metav1.ManagedFieldsEntry{f}).Of(keys...)) > 0
}

// warnForeign warns, before the writes of a phase, about those that overwrite what something else has written since the rotation began.
func (r *run) warnForeign(plan *change.Plan) {
	for _, c := range r.m.clusters {
		again := map[string]bool{}
		for _, phase := range plan.Phases {
			for _, each := range phase.Steps {
				if s, ok := each.(*ca.Write); ok && s.Of == c.State && s.Data != nil {
					again[s.Target().Name] = true
				}
			}
		}
		for _, f := range c.foreign(r.Manager) {
			f.secrets = slices.DeleteFunc(slices.Clone(f.secrets), func(name string) bool { return !again[name] })
			if text := f.text(c.Member.Name); len(f.secrets) > 0 && !slices.Contains(r.rewritten, text) {
				r.rewritten = append(r.rewritten, text)
				r.ui.Warn("%s. This phase overwrites that change. Keep that tool from writing until the rotation has ended", text)
			}
		}
	}
}

// foreignTexts are all known writes of others, including those that this run has overwritten.
func (r *run) foreignTexts() []string {
	out := slices.Clone(r.rewritten)
	for _, c := range r.m.clusters {
		for _, f := range c.foreign(r.Manager) {
			if text := f.text(c.Member.Name); !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}
