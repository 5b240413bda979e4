package meshstate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// The wait between two attempts to read a lost member. A session that ends immediately also counts as lost, so that
// an API server that closes every watch is not asked in a loop.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	shortSession = time.Second
)

// run follows one member until the context ends: it reads everything, watches, and reads everything again if a watch breaks. Only
// if that fails, the member is lost.
func (f *feed) run(ctx context.Context, identify func(context.Context, *clusters.Member) (*clusters.Member, error)) {
	pause := firstPause
	lost := f.member().Err != nil
	if lost {
		f.fail(f.member().Err)
	}
	for ctx.Err() == nil {
		began := time.Now()
		err := f.identified(ctx, lost, identify)
		if err == nil {
			var established bool
			established, err = f.session(ctx)
			if established {
				// The error is reported only if the member cannot be read again.
				err, lost = nil, false
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.fail(failure.Classify(err))
			lost = true
		} else if time.Since(began) > shortSession {
			pause = firstPause
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, longestPause)
	}
}

// identified identifies a lost member again: it may have been rebuilt or upgraded meanwhile.
func (f *feed) identified(ctx context.Context, lost bool, identify func(context.Context, *clusters.Member) (*clusters.Member, error)) error {
	if !lost {
		return nil
	}
	m, err := identify(ctx, f.member())
	if err != nil {
		return err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.m, f.changed = f.apart(m).WithError(f.m.Err), true // until its Services are read
	return nil
}

// member returns the member as it is now. Until it is identified, another member may take its name.
func (f *feed) member() *clusters.Member {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.m
}

// apart gives the feed's member, which was just identified, a name that no other one has, as when members are selected: another one
// that did not report the name itself gets another name. The caller holds the lock.
func (f *feed) apart(m *clusters.Member) *clusters.Member {
	other := func(name string) *feed {
		at := slices.IndexFunc(f.w.feeds, func(o *feed) bool { return o != f && o.m.Name == name })
		if at < 0 {
			return nil
		}
		return f.w.feeds[at]
	}
	switch o := other(m.Name); {
	case o == nil:
		return m
	case o.m.CiliumNamespace != "" || o.m.Context == "": // it was read, or it is a peer without a context, which has no other name
		return m.Called(m.Apart(func(name string) bool { return other(name) != nil }))
	default: // also if the kubeconfig's entries gave it the name, which was wrong
		o.m, o.changed = o.m.Called(o.m.Apart(func(name string) bool { return name == m.Name || other(name) != nil })), true
		return m
	}
}

// fail records that the member cannot be read. It is reported once, whatever the number of attempts.
func (f *feed) fail(err *failure.Error) {
	w := f.w
	w.mu.Lock()
	defer w.mu.Unlock()
	first := f.answered()
	if !f.read && !first {
		return
	}
	f.m, f.changed = f.m.WithError(err), true
	w.changes = append(w.changes, changed{f, err})
	w.all = true // before the Services are removed, so that their rows are shown again
	for k := range f.services {
		w.dirty[k] = true
	}
	f.read, f.content = false, content{}
	w.signal()
}

// answered notes that the member was read or failed, and reports whether that is the first time.
func (f *feed) answered() bool {
	first := !f.asked
	if first {
		f.asked = true
		f.w.pending--
	}
	return first
}

// session reads everything, opens the watches and follows them until one breaks. established says whether it came to that.
func (f *feed) session(ctx context.Context) (established bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := newContent()
	kinds, err := f.open(ctx, next)
	if err != nil {
		for _, k := range kinds {
			k.stop()
		}
		return false, err
	}
	f.replace(next)
	broken := make(chan error, len(kinds))
	for _, k := range kinds {
		go func() { broken <- k.follow(ctx) }()
	}
	err = <-broken
	cancel()
	for range len(kinds) - 1 {
		<-broken //nolint:errcheck // that it ended is all that counts
	}
	return true, err
}

// replace replaces the known content with the content that was just read.
func (f *feed) replace(next *content) {
	w := f.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range f.services {
		w.dirty[k] = true
	}
	for k := range next.services {
		w.dirty[k] = true
	}
	if !maps.EqualFunc(f.namespaces, next.namespaces, maps.Equal) || f.namespacesHidden != next.namespacesHidden {
		w.all = true // what is missing here is a Service of others
	}
	back := !f.read
	f.content, f.read = *next, true
	f.m, f.changed = f.m.WithError(nil), f.changed || back || !f.asked
	if first := f.answered(); back && !first {
		w.changes = append(w.changes, changed{feed: f})
		w.all = true
	}
	w.signal()
}

// open lists the kinds and opens their watches. As for Read the deadline is for each request.
func (f *feed) open(ctx context.Context, next *content) ([]follower, error) {
	svc, slc, nsp := kindOptions(f.w.query)
	core, q := f.m.Client.CoreV1(), f.w.query
	services := &kind[*corev1.Service, *corev1.ServiceList]{feed: f, options: svc, list: core.Services(q.Namespace).List, watch: core.Services(q.Namespace).Watch,
		items: func(l *corev1.ServiceList) []*corev1.Service { return pointers(l.Items) }, apply: (*content).service}
	api := f.m.Client.DiscoveryV1().EndpointSlices(q.Namespace)
	endpoints := &kind[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList]{feed: f, options: slc, list: api.List, watch: api.Watch,
		items: func(l *discoveryv1.EndpointSliceList) []*discoveryv1.EndpointSlice { return pointers(l.Items) }, apply: (*content).slice}
	namespaces := &kind[*corev1.Namespace, *corev1.NamespaceList]{feed: f, options: nsp, list: core.Namespaces().List, watch: core.Namespaces().Watch,
		items: func(l *corev1.NamespaceList) []*corev1.Namespace { return pointers(l.Items) }, apply: (*content).namespace}
	var out []follower
	for _, k := range []follower{services, endpoints, namespaces} {
		err := k.open(ctx, next)
		if k == follower(namespaces) && apierrors.IsForbidden(err) {
			if err = f.namespaceByName(ctx, next, err); err == nil {
				continue
			}
		}
		if err != nil {
			return out, err
		}
		out = append(out, k)
	}
	return out, nil
}

// namespaceByName reads the one namespace by its name where lists are refused, as Read does. What becomes of it is then not seen.
func (f *feed) namespaceByName(ctx context.Context, next *content, refusal error) error {
	if name := f.w.query.Namespace; name != "" {
		ns, err := get(ctx, f.w.timeout, name, f.m.Client.CoreV1().Namespaces().Get)
		switch {
		case err == nil:
			next.namespace(ns, false)
			return nil
		case apierrors.IsNotFound(err):
			return nil
		case !apierrors.IsForbidden(err):
			return err
		}
		refusal = err
	}
	next.namespacesHidden = true
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.m.Unseen(ungated, refusal)
	f.changed = true
	return nil
}

// follower is one kind of objects of one member.
type follower interface {
	open(ctx context.Context, into *content) error
	follow(ctx context.Context) error
	stop()
}

// kind lists and watches one kind.
type kind[T metav1.Object, L metav1.ListInterface] struct {
	feed    *feed
	options metav1.ListOptions
	list    func(context.Context, metav1.ListOptions) (L, error)
	watch   func(context.Context, metav1.ListOptions) (watch.Interface, error)
	items   func(L) []T
	apply   func(c *content, object T, gone bool) []routing.Key

	version string // up to which everything is known
	events  watch.Interface
	end     context.CancelFunc // of the context of events
}

// open lists page by page into a content that nobody sees yet, and opens the watch.
func (k *kind[T, L]) open(ctx context.Context, into *content) error {
	err := pages(ctx, k.feed.w.pager, k.options, k.list, func(page L) error {
		for _, item := range k.items(page) {
			k.apply(into, item, false)
		}
		k.version = page.GetResourceVersion()
		return nil
	})
	if err != nil {
		return err
	}
	return k.connect(ctx)
}

// connect opens the watch where the last one ended. The deadline is for opening it only; the watch goes on until it is stopped.
func (k *kind[T, L]) connect(ctx context.Context) error {
	o := k.options
	o.ResourceVersion, o.AllowWatchBookmarks = k.version, true
	life, end := context.WithCancel(ctx)
	events, err := fanout.Within(ctx, k.feed.w.timeout, func(opening context.Context) (watch.Interface, error) {
		opened := context.AfterFunc(opening, end)
		events, err := k.watch(life, o)
		if !opened() && err == nil { // just too late
			events.Stop()
			err = opening.Err()
		}
		return events, err
	})
	if err != nil {
		end()
		return err
	}
	k.events, k.end = events, end
	return nil
}

func (k *kind[T, L]) stop() {
	k.events.Stop()
	k.end()
}

// errEnded: the watch must be started again from a list.
var errEnded = errors.New("the watch ended")

// follow takes in events until the watch breaks. API servers end a watch from time to time; then it goes on where it was.
func (k *kind[T, L]) follow(ctx context.Context) error {
	for {
		began := time.Now()
		err := k.drain(ctx)
		k.stop()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err // 410 Gone among them: the history is compacted
		case time.Since(began) < shortSession:
			return errEnded
		}
		if err := k.connect(ctx); err != nil {
			return err
		}
	}
}

// drain reads one watch to its end; nil means that it was closed in order.
func (k *kind[T, L]) drain(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-k.events.ResultChan():
			if !open {
				return nil
			}
			if e.Type == watch.Error {
				return apierrors.FromObject(e.Object)
			}
			object, ok := e.Object.(T)
			if !ok {
				return fmt.Errorf("unexpected %T in a watch", e.Object)
			}
			k.version = object.GetResourceVersion()
			if e.Type == watch.Bookmark {
				continue
			}
			k.feed.w.mu.Lock()
			k.feed.w.touch(k.apply(&k.feed.content, object, e.Type == watch.Deleted))
			k.feed.w.mu.Unlock()
		}
	}
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
