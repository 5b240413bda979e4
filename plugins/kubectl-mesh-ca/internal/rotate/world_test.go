package rotate_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a mesh in which the CA is rotated.
type world struct {
	*modeltest.World

	// ahead is how far the clock of the machine is ahead of the clusters'; it is known to a second.
	ahead   time.Duration
	unknown bool // it is not known, because the API servers do not send dates
	quiet   time.Duration
	observe rotate.Observer // in place of the model's
	ignore  rotate.Ignore
	flags   []string                     // StartFlags
	first   map[string]*x509.Certificate // the CA with which each cluster began
	said    *[]string
	heard   func(line string) // is called with each line that a person reads, if it is not nil
}

// machine is the clock of the machine that runs the command.
type machine struct {
	*modeltest.World

	ahead time.Duration
}

// recorder keeps what a person reads, if said is not nil.
type recorder struct {
	modeltest.UI

	said  *[]string
	heard func(string)
}

func newWorld(t testing.TB, seed uint64, install func(string, *pkitest.CA) catest.Install, names ...string) *world {
	w := &world{World: modeltest.New(t, seed, install, names...), first: map[string]*x509.Certificate{}}
	for _, p := range w.Mesh {
		if secret := p.Secret(pki.SecretCA); secret != nil {
			if signer, err := pki.ParseSigner(secret.Data); err == nil { // some tests begin without a key
				w.first[p.Name] = signer.Cert
			}
		}
	}
	return w
}

// run is one command, which ends after so many requests; negative for as long as it takes.
func (w *world) run(action rotate.Action, method rotate.Method, requests int) (rotate.Report, error) {
	defer w.Begin(string(action), requests)()
	members := w.Members()
	for n, m := range members {
		if !w.unknown {
			members[n] = m.WithSkew(clusters.Skew{Low: -w.ahead - time.Second/2, High: -w.ahead + time.Second/2})
		}
	}
	observer := w.observe
	if observer == nil {
		observer = w
	}
	c := rotate.Config{
		Write:  modeltest.Write(),
		Action: action, Select: func(context.Context) (*clusters.Selection, error) { return &clusters.Selection{Members: members}, nil },
		Observer: observer, Clock: machine{w.World, w.ahead}, Quiet: w.quiet, Ignore: w.ignore, StartFlags: w.flags, Who: "test", ID: fmt.Sprint("run-", len(w.Log)), Method: string(method), Wait: 20 * time.Minute, Poll: 10 * time.Second,
		Show: func(rotate.Report, bool) []output.Section { return nil },
	}
	report, err := rotate.Run(w.T.Context(), c, recorder{modeltest.UI{T: w.T}, w.said, w.heard})
	documents.CheckValue(w.T, report)
	return report, err
}

func (m machine) Now() time.Time { return m.World.Now().Add(m.ahead) }

func (r recorder) Say(format string, args ...any) {
	r.UI.Say(format, args...)
	r.keep(fmt.Sprintf(format, args...))
}

func (r recorder) Warn(format string, args ...any) {
	r.UI.Warn(format, args...)
	r.keep("Warning: " + fmt.Sprintf(format, args...))
}

func (r recorder) keep(line string) {
	if r.heard != nil {
		r.heard(line)
	}
	if r.said != nil {
		*r.said = append(*r.said, line)
	}
}

// ends: all Secrets are as they must be at the end.
func (w *world) ends(old bool, first *x509.Certificate) {
	w.T.Helper()
	for range 20 { // kubelets write what the last phase left
		must(w.T, w.Sleep(w.T.Context(), time.Minute))
	}
	for _, p := range w.Mesh {
		exists := func(name string) bool { return p.Objects["configmaps/"+name] != nil }
		for _, problem := range modeltest.Ended(p.Source, exists, old, first) {
			w.T.Errorf("%s: %s", p.Name, problem)
		}
	}
}
