package ca_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// engine is how plans are carried out here.
var engine = change.Options{Timeout: time.Minute}

// mesh is a source and two targets, and a log of what was written where, in order.
type mesh struct {
	members []*clusters.Member
	clients map[string]*fake.Clientset
	cas     map[string]pkitest.CA
	mu      sync.Mutex
	log     []string
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{clients: map[string]*fake.Clientset{}, cas: map[string]pkitest.CA{}}
	for _, name := range []string{"us", "eu", "ap"} {
		auth := pkitest.NewCA(t, pkitest.Spec{})
		member, client := catest.Member(t, name, catest.Install{CA: &auth})
		m.members, m.clients[name], m.cas[name] = append(m.members, member), client, auth
		client.PrependReactor("*", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
			if !catest.DryRun(a) && !catest.Locks(a) && (a.GetVerb() == "create" || a.GetVerb() == "patch") {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.log = append(m.log, a.GetVerb()+" "+name)
			}
			return false, nil, nil
		})
	}
	return m
}

func (m *mesh) plan(t *testing.T, o ca.Options) *ca.Plan {
	t.Helper()
	states := ca.ReadAll(t.Context(), m.members, time.Minute).States
	if len(states) != 3 {
		t.Fatalf("%d states; %v", len(states), m.members[0].Err)
	}
	p, err := ca.Sync(states[0], states[1:], o, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// on makes an API server answer a real (not dry-run) write or a read of a Secret by fn; nil lets it go on.
func (m *mesh) on(cluster, verb, name string, fn func() (runtime.Object, error)) {
	m.clients[cluster].PrependReactor(verb, "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
		var target string
		switch a := a.(type) {
		case ktesting.CreateActionImpl:
			target = catest.As[*corev1.Secret](a.GetObject()).Name
		case ktesting.PatchActionImpl:
			target = a.GetName()
		case ktesting.GetActionImpl:
			target = a.GetName()
		}
		if catest.DryRun(a) || catest.Locks(a) || !strings.HasPrefix(target, name) {
			return false, nil, nil
		}
		obj, err := fn()
		return obj != nil || err != nil, obj, err
	})
}

func results(p *ca.Plan) []string {
	var out []string
	for _, i := range p.Items {
		out = append(out, fmt.Sprintf("%s %s/%s", i.State.Member.Name, i.Backup.Result, i.Result))
	}
	return out
}

func TestApply(t *testing.T) {
	t.Parallel()
	options := ca.Options{Timeout: time.Minute}
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("a policy"))
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, m *mesh, cancel func())
		log     []string
		results []string
		err     string
		undo    int
	}{
		"every backup before any replacement": {
			log:     []string{"create eu", "create ap", "patch eu", "patch ap"},
			results: []string{"eu changed/changed", "ap changed/changed"}, undo: 2,
		},
		"second backup refused": {
			prepare: func(_ *testing.T, m *mesh, _ func()) {
				m.on("ap", "create", "cilium-ca-backup-", func() (runtime.Object, error) { return nil, refused })
			},
			log:     []string{"create eu"},
			results: []string{"eu changed/planned", "ap failed/failed"}, err: `cluster "ap": sync secret kube-system/cilium-ca-backup-`,
		},
		"backup changed by admission": {
			prepare: func(_ *testing.T, m *mesh, _ func()) {
				done := false
				m.on("eu", "get", "cilium-ca-backup-", func() (runtime.Object, error) {
					if !done { // the look for an earlier backup
						done = true
						return nil, nil
					}
					return &corev1.Secret{Data: map[string][]byte{"ca.crt": []byte("x")}}, nil
				})
			},
			log:     []string{"create eu"},
			results: []string{"eu failed/failed", "ap planned/planned"}, err: "written, but an admission webhook or a controller changed data",
		},
		"target changed meanwhile": {
			prepare: func(_ *testing.T, m *mesh, _ func()) {
				m.on("eu", "patch", "cilium-ca", func() (runtime.Object, error) {
					return nil, apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "cilium-ca", errors.New("resourceVersion"))
				})
			},
			log:     []string{"create eu", "create ap"},
			results: []string{"eu changed/failed", "ap changed/planned"}, err: "changed since planning; nothing was written to it",
		},
		"no answer, but it was written": {
			prepare: func(t *testing.T, m *mesh, _ func()) {
				m.on("eu", "patch", "cilium-ca", func() (runtime.Object, error) {
					m.write(t, "eu", "us")
					return nil, context.DeadlineExceeded
				})
			},
			log:     []string{"create eu", "create ap", "patch ap"},
			results: []string{"eu changed/changed", "ap changed/changed"}, undo: 2,
		},
		"no answer, and it was not written": {
			prepare: func(_ *testing.T, m *mesh, _ func()) {
				m.on("eu", "patch", "cilium-ca", func() (runtime.Object, error) { return nil, context.DeadlineExceeded })
			},
			log:     []string{"create eu", "create ap"},
			results: []string{"eu changed/failed", "ap changed/planned"}, err: "it was not written",
		},
		"no answer at all": {
			prepare: func(_ *testing.T, m *mesh, _ func()) {
				gone := false
				m.on("eu", "patch", "cilium-ca", func() (runtime.Object, error) { gone = true; return nil, context.DeadlineExceeded })
				m.on("eu", "get", "cilium-ca", func() (runtime.Object, error) {
					if gone {
						return nil, errors.New("connection refused")
					}
					return nil, nil
				})
			},
			log:     []string{"create eu", "create ap"},
			results: []string{"eu changed/unknown", "ap changed/planned"}, err: "cannot determine whether it was written", undo: 1,
		},
		"a controller writes its own again": {
			prepare: func(_ *testing.T, m *mesh, _ func()) {
				wrote := false
				m.on("eu", "patch", "cilium-ca", func() (runtime.Object, error) { wrote = true; return nil, nil })
				m.on("eu", "get", "cilium-ca", func() (runtime.Object, error) {
					if !wrote {
						return nil, nil
					}
					return &corev1.Secret{Data: m.cas["eu"].CASecret()}, nil
				})
			},
			log:     []string{"create eu", "create ap", "patch eu"},
			results: []string{"eu changed/failed", "ap changed/planned"}, err: "written, but an admission webhook or a controller changed data.ca.crt", undo: 1,
		},
		"interrupted during the first replacement": {
			prepare: func(_ *testing.T, m *mesh, cancel func()) {
				m.on("eu", "patch", "cilium-ca", func() (runtime.Object, error) { cancel(); return nil, nil })
			},
			// What has begun is brought to its end; the rest is not begun.
			log:     []string{"create eu", "create ap", "patch eu"},
			results: []string{"eu changed/changed", "ap changed/planned"}, err: "context canceled", undo: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMesh(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.prepare != nil {
				tc.prepare(t, m, cancel)
			}
			p := m.plan(t, options)
			if err := p.Change().Preflight(ctx, engine); err != nil {
				t.Fatal(err)
			}
			err := p.Change().Apply(ctx, engine)
			if (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if diff := cmp.Diff(tc.log, m.log); diff != "" {
				t.Errorf("writes (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tc.results, results(p)); diff != "" {
				t.Errorf("results (-want +got)\n%s", diff)
			}
			if undo := p.Report(m.members, "none").UndoCommands; len(undo) != tc.undo {
				t.Errorf("undo %q, want %d", undo, tc.undo)
			}
		})
	}
}

// write puts one cluster's CA into another's Secret behind the plan's back.
func (m *mesh) write(t *testing.T, cluster, from string) {
	t.Helper()
	gvr := corev1.SchemeGroupVersion.WithResource("secrets")
	obj, err := m.clients[cluster].Tracker().Get(gvr, catest.Namespace, pki.SecretCA)
	if err != nil {
		t.Fatal(err)
	}
	secret := catest.As[*corev1.Secret](obj).DeepCopy()
	secret.Data = m.cas[from].CASecret()
	if err := m.clients[cluster].Tracker().Update(gvr, secret, catest.Namespace); err != nil {
		t.Fatal(err)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(m *mesh)
		engine  change.Options
		results []string
		message string // of ap
		err     error
	}{
		"all well": {results: []string{"eu planned/planned", "ap planned/planned"}},
		"may not patch": {
			prepare: func(m *mesh) { catest.Deny(m.clients["ap"], "patch", pki.SecretCA) },
			results: []string{"eu planned/planned", "ap planned/failed"}, err: change.ErrPreflight,
			message: `no permission: a Role in namespace kube-system needs {apiGroups: [""], resources: [secrets], resourceNames: [cilium-ca], verbs: [patch]}`,
		},
		"may not create": {
			prepare: func(m *mesh) { catest.Deny(m.clients["ap"], "create", "") },
			results: []string{"eu planned/planned", "ap planned/failed"}, err: change.ErrPreflight,
			message: `no permission: a Role in namespace kube-system needs {apiGroups: [""], resources: [secrets], verbs: [create]}`,
		},
		"partly": {
			prepare: func(m *mesh) { catest.Deny(m.clients["ap"], "create", "") },
			engine:  change.Options{AllowPartial: true},
			results: []string{"eu planned/planned", "ap planned/failed"}, message: "no permission",
		},
		"admission refuses and quotes the object": {
			prepare: func(m *mesh) { m.refuseDryRun("ap", "denied: -----BEGIN EC PRIVATE KEY-----") },
			results: []string{"eu planned/planned", "ap planned/failed"}, err: change.ErrPreflight,
			message: "its message is left out because it may hold the key",
		},
		"admission refuses and quotes it in base64": {
			prepare: func(m *mesh) { m.refuseDryRun("ap", "denied: LS0tLS1CRUdJTiBFQyBQUklWQVRF") },
			results: []string{"eu planned/planned", "ap planned/failed"}, err: change.ErrPreflight,
			message: "its message is left out because it may hold the key",
		},
		"a webhook that cannot dry-run": {
			prepare: func(m *mesh) { m.refuseDryRun("ap", "webhook does not support dry run") },
			results: []string{"eu planned/planned", "ap planned/failed"}, err: change.ErrPreflight,
			message: "--preflight=access leaves it out",
		},
		"that webhook, access only": {
			prepare: func(m *mesh) { m.refuseDryRun("ap", "webhook does not support dry run") },
			engine:  change.Options{AccessOnly: true},
			results: []string{"eu planned/planned", "ap planned/planned"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMesh(t)
			if tc.prepare != nil {
				tc.prepare(m)
			}
			tc.engine.Timeout = time.Minute
			p := m.plan(t, ca.Options{Timeout: time.Minute})
			if err := p.Change().Preflight(t.Context(), tc.engine); !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			if diff := cmp.Diff(tc.results, results(p)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got := p.Items[1].Message; !strings.Contains(got, tc.message) || strings.Contains(got, "PRIVATE KEY") || strings.Contains(got, "LS0t") {
				t.Errorf("message %q, want %q", got, tc.message)
			}
			if m.log != nil {
				t.Errorf("preflight wrote %v", m.log)
			}
		})
	}
}

// refuseDryRun makes the dry-run of cilium-ca fail as an admission webhook does.
func (m *mesh) refuseDryRun(cluster, message string) {
	m.clients[cluster].PrependReactor("patch", "secrets", func(a ktesting.Action) (bool, runtime.Object, error) {
		if !catest.DryRun(a) {
			return false, nil, nil
		}
		return true, nil, apierrors.NewBadRequest(message)
	})
}

func TestBackupsOfOneFingerprint(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		have      func(want *corev1.Secret) // changes what is there already
		backup    string                    // result
		wantName  string                    // suffix
		wantWrite []string
	}{
		"the same content":     {have: func(*corev1.Secret) {}, backup: "unchanged", wantWrite: []string{"patch eu"}},
		"other content":        {have: func(s *corev1.Secret) { s.Data = map[string][]byte{"ca.crt": []byte("x")} }, backup: "changed", wantName: "-2", wantWrite: []string{"create eu", "patch eu"}},
		"a copy that may vary": {have: func(s *corev1.Secret) { s.Immutable = nil }, backup: "changed", wantName: "-2", wantWrite: []string{"create eu", "patch eu"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMesh(t)
			m.members = m.members[:2]
			states := ca.ReadAll(t.Context(), m.members, time.Minute).States
			o := ca.Options{Timeout: time.Minute}
			p, err := ca.Sync(states[0], states[1:], o, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			there := p.Items[0].Backup.Object.DeepCopy()
			base := there.Name
			tc.have(there)
			if err := m.clients["eu"].Tracker().Add(there); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(p.Change().Preflight(t.Context(), engine), p.Change().Apply(t.Context(), engine)); err != nil {
				t.Fatal(err)
			}
			if got := p.Items[0].Backup; got.Result != tc.backup || got.Object.Name != base+tc.wantName {
				t.Errorf("backup %s %s", got.Object.Name, got.Result)
			}
			if diff := cmp.Diff(tc.wantWrite, m.log); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestRestore undoes a sync, and then undoes the restore.
func TestRestore(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	m.members = m.members[:2]
	o := ca.Options{Timeout: time.Minute}
	states := ca.ReadAll(t.Context(), m.members, time.Minute).States
	p, err := ca.Sync(states[0], states[1:], o, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Change().Preflight(t.Context(), engine), p.Change().Apply(t.Context(), engine)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"eu", "us"} { // back to its own, then forward again
		state := ca.ReadAll(t.Context(), m.members[1:], time.Minute).States[0]
		backup, err := m.clients["eu"].CoreV1().Secrets(catest.Namespace).Get(t.Context(), p.Items[0].Backup.Object.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p, err = ca.Restore(state, backup, o, pkitest.Now); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(p.Change().Preflight(t.Context(), engine), p.Change().Apply(t.Context(), engine)); err != nil {
			t.Fatal(err)
		}
		now := ca.ReadAll(t.Context(), m.members[1:], time.Minute).States[0].CA().Object
		if !bytes.Equal(now.Data["ca.crt"], m.cas[want].CertPEM) || !bytes.Equal(now.Data["ca.key"], m.cas[want].KeyPEM) || now.Labels["app.kubernetes.io/managed-by"] != "Helm" {
			t.Errorf("cilium-ca is not that of %s", want)
		}
	}
}
