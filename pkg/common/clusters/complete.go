package clusters

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
)

// completionTimeout is how long a shell may wait for one cluster at the Tab key.
const completionTimeout = 2 * time.Second

// ContextNames lists the contexts as --contexts takes them, for completion. It is empty where no kubeconfig can be read.
func (f *Flags) ContextNames(context.Context) []string {
	kc, err := f.load()
	if err != nil {
		return nil
	}
	names := make([]string, len(kc.candidates))
	for i, c := range kc.candidates {
		names[i] = c.name
	}
	return names
}

// MemberNames lists the Cilium names of the clusters that the flags mean, for completion.
func (f *Flags) MemberNames(ctx context.Context) []string {
	f.Timeout, f.unattended, f.Progress = min(f.Timeout, completionTimeout), true, nil
	sel, err := f.Select(ctx)
	if err != nil {
		return nil
	}
	names := make([]string, len(sel.Members))
	for i, m := range sel.Members {
		names[i] = m.Name
	}
	return names
}

// ServiceNames lists the Services of the namespace in the home context alone, for completion.
func (f *Flags) ServiceNames(ctx context.Context) []string {
	return f.atHome(ctx, func(ctx context.Context, m *Member) (runtime.Object, error) {
		return m.Client.CoreV1().Services(f.Namespace(m)).List(ctx, metav1.ListOptions{})
	})
}

// NamespaceNames lists the namespaces of the home context alone, for completion.
func (f *Flags) NamespaceNames(ctx context.Context) []string {
	return f.atHome(ctx, func(ctx context.Context, m *Member) (runtime.Object, error) {
		return m.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	})
}

// atHome returns the names of what is listed in the home context. It is empty where that fails.
func (f *Flags) atHome(ctx context.Context, list func(context.Context, *Member) (runtime.Object, error)) []string {
	kc, err := f.load()
	if err != nil {
		return nil
	}
	home := kc.current
	if *f.Config.Context != "" {
		home = *f.Config.Context
	} else if p := f.patterns(); len(p) > 0 {
		home = p[0]
	}
	found, err := kc.find(home)
	if err != nil {
		return nil
	}
	f.host, f.unattended = execplugin.FromContext(ctx), true
	f.Timeout = min(f.Timeout, completionTimeout)
	m := f.newMember(found[0], true, &Warnings{})
	if m.Err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	objects, err := list(ctx, m)
	if err != nil {
		return nil
	}
	var names []string
	// Only an object without metadata ends it early, and these have some.
	_ = meta.EachListItem(objects, func(o runtime.Object) error {
		a, err := meta.Accessor(o)
		if err == nil {
			names = append(names, a.GetName())
		}
		return err
	})
	return names
}
