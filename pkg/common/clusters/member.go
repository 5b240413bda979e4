package clusters

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// Member is one cluster of the mesh, or one that should be: Err is set when it could not be read. Only this package changes a member; what others
// find out about one is in a copy that it makes for them.
type Member struct {
	Name             string   // Cilium's cluster name; where that is not known, the context's name, or context/NAME if another member is called so
	Context          string   // as it is shown and as --contexts takes it: NAME, or FILE::NAME where two files define it differently
	ContextInFile    string   // its name in the kubeconfig file, without FILE::; empty where that is Context
	Kubeconfig       string   // absolute path of the file that defines it; empty for the default file, which every tool finds
	Aliases          []string // other contexts of the same cluster
	Server           string
	DefaultNamespace string // of the context
	Home             bool   // the current context's cluster, or the first that was named

	UID             string // of Namespace kube-system; empty when it may not be read
	CiliumNamespace string
	Config          cilium.Config
	Version         cilium.Version
	Peers           []string
	PeersKnown      bool
	SkippedPeers    []cilium.SkippedPeer // entries that look like peers and that Cilium skips, with the reason
	Keeper          *owners.Keeper       // the controller that would write Cilium's configuration again; nil for none, or Helm and people
	Release         Release              // the Helm release that installed Cilium
	Chart           owners.Chart         // the chart of it, as far as the objects that are read tell
	KVStoreMesh     *bool                // nil when it may not be read or there is no clustermesh-apiserver

	REST   *rest.Config
	Client kubernetes.Interface
	Err    *failure.Error

	entry        entry     // what the kubeconfig says about the context
	alternatives []*Member // what the other contexts of the same cluster answered, in the order of Aliases
	pinned       bool      // the user named the context, or it is the current one; no other one takes its place

	installed installed // the metadata of the objects that Cilium's chart makes

	origin commandline.Origin // what printed commands have to repeat, without the names of the context

	plugin *plugin  // the exec credential plugin, nil without one
	clock  *clock   // of the API server; nil if the member does not have clients
	unseen []string // what could not be seen because a permission is missing, each once
	told   int      // how many of these TakeUnseen has returned
}

// Release names a Helm release. Its name is empty where nothing tells of one.
type Release struct{ Name, Namespace string }

// Failure returns why the member could not be read, or nil.
func (m *Member) Failure() *failure.Error { return m.Err }

// WithError returns a copy of the member that could not be read; nil: one that could.
func (m *Member) WithError(err *failure.Error) *Member {
	out := *m
	out.Err = err
	return &out
}

// Identified reports whether Cilium's name of the cluster is known, from the cluster itself or from the kubeconfig's entries. If not, the member is called by its context.
func (m *Member) Identified() bool {
	return m.CiliumNamespace != "" || m.Name != m.Context && !strings.HasPrefix(m.Name, apart)
}

// apart begins the name of a member that is not identified and whose context's name is taken. No Cilium name contains a slash.
const apart = "context/"

// Apart returns what a member is called that cannot have a Cilium name of its own: its context or, where that is taken too, context/NAME.
func (m *Member) Apart(taken func(name string) bool) string {
	name := m.Context
	for taken(name) {
		name = apart + name
	}
	return name
}

// Called returns a copy of the member with another name.
func (m *Member) Called(name string) *Member {
	out := *m
	out.Name = name
	return &out
}

// BeforeCilium returns a copy of a member without Cilium that can be read: what is meant for Cilium goes into a namespace.
func (m *Member) BeforeCilium(namespace string) *Member {
	out := m.WithError(nil)
	out.CiliumNamespace = namespace
	return out
}

// newMember builds the clients of a context. Err holds an error of the kubeconfig entry.
func (f *Flags) newMember(c candidate, single bool, warn rest.WarningHandlerWithContext) *Member {
	m := &Member{Name: c.name, Context: c.name, ContextInFile: c.context, entry: c.entry(), origin: commandline.Origin{Merged: c.merged, Files: c.files, Flags: f.connectionFlags()}}
	if len(c.files) > 0 {
		m.Kubeconfig = c.file
	}
	cfg, ns, err := f.restConfig(c, single)
	if err == nil {
		err = useIDToken(cfg, m.Origin().At(), time.Now())
	}
	if err != nil {
		m.Err = &failure.Error{Class: failure.Kubeconfig, Err: err}
		return m
	}
	// Our own fan-out is bounded; client-go's default of 5 requests a second would make a mesh slow.
	cfg.QPS, cfg.Burst = -1, -1
	cfg.WarningHandlerWithContext = warn
	cfg.UserAgent = rest.DefaultKubernetesUserAgent()
	m.REST, m.Server, m.DefaultNamespace = cfg, cfg.Host, ns
	m.plugin = f.usePlugin(cfg)
	m.clock = &clock{}
	cfg.Wrap(rejectWebPages) // within the clock, which must not learn that of a login page
	cfg.Wrap(m.clock.watch)
	cfg.Wrap(noteTried)
	typed := rest.CopyConfig(cfg)
	typed.ContentType = "application/vnd.kubernetes.protobuf"
	typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(typed)
	if err != nil {
		m.Err = &failure.Error{Class: failure.Kubeconfig, Err: fmt.Errorf("context %q: %w", c.name, err)}
		return m
	}
	m.Client = client
	return m
}

// Warnings collects lines for stderr, each once. It is safe for concurrent use.
type Warnings struct {
	mu    sync.Mutex
	seen  map[string]bool
	lines []string
}

// Add keeps a warning unless it is already there.
func (w *Warnings) Add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[string]bool{}
	}
	if !w.seen[line] {
		w.seen[line] = true
		w.lines = append(w.lines, line)
	}
}

// Lines returns the warnings so far and forgets them.
func (w *Warnings) Lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

// HandleWarningHeaderWithContext takes in the API servers' own warnings.
func (w *Warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code == 299 && text != "" {
		w.Add("%s", strings.TrimSpace(text))
	}
}
