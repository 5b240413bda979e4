package clusters

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	f.Timeout = min(f.Timeout, completionTimeout)
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
	m := f.newMember(found[0], true, &Warnings{})
	if m.Err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	list, err := m.Client.CoreV1().Services(f.Namespace(m)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	names := make([]string, len(list.Items))
	for i, s := range list.Items {
		names[i] = s.Name
	}
	return names
}
