package cleanup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
)

// screen is a UI that answers the question.
type screen struct {
	kernel.UI

	answer   error
	question string
	shown    int
}

func (s *screen) Unread(members ...*clusters.Member) []string {
	var out []string
	for _, m := range members {
		if m.Err != nil {
			out = append(out, m.Name)
		}
	}
	return out
}

func (s *screen) Show(func(bool) []output.Section, bool) error { s.shown++; return nil }

func (s *screen) Confirm(_ context.Context, question string) error {
	s.question = question
	return s.answer
}

func (s *screen) Progress() (func(change.Event), func()) { return func(change.Event) {}, func() {} }

func pod(namespace, name, managedBy string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u", Labels: map[string]string{helper.LabelManagedBy: managedBy}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
}

// member is a cluster with a helper pod in each of two namespaces, and pods that are not ours.
func member(name string, unreadable bool) *clusters.Member {
	client := pod("shop", "client-1", "Helm")
	client.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "mesh-probe-helper-0000000e"}}}
	api := fake.NewClientset(pod("shop", "mesh-probe-helper-00000001", helper.Manager), pod("pay", "mesh-probe-helper-00000002", helper.Manager), pod("shop", "other", helper.Manager), client)
	api.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	api.PrependReactor("delete", "pods", func(a k8stesting.Action) (bool, runtime.Object, error) {
		d, ok := a.(k8stesting.DeleteActionImpl) // the fake takes a dry run for a deletion
		return ok && len(d.GetDeleteOptions().DryRun) > 0, nil, nil
	})
	if unreadable {
		api.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
	}
	return &clusters.Member{Name: name, Client: api}
}

func names(t *testing.T, m *clusters.Member) string {
	t.Helper()
	list, err := m.Client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range list.Items {
		out = append(out, p.Namespace+"/"+p.Name)
	}
	return strings.Join(out, " ")
}

func TestRun(t *testing.T) {
	t.Parallel()
	const all = "pay/mesh-probe-helper-00000002 shop/client-1 shop/mesh-probe-helper-00000001 shop/other"
	declined := errors.New("declined")
	for name, c := range map[string]struct {
		everywhere bool
		dryRun     cli.DryRunStrategy
		answer     error
		left       string
		results    []string
		question   string
		err        string
	}{
		"one namespace":  {left: "pay/mesh-probe-helper-00000002 shop/client-1 shop/other", results: []string{"changed"}, question: "Delete helper pod mesh-probe-helper-00000001 of us? A probe that still uses one of them"},
		"all namespaces": {everywhere: true, left: "shop/client-1 shop/other", results: []string{"changed", "changed"}, question: "Delete 2 helper pods?"},
		"client dry run": {dryRun: cli.DryRunClient, left: all, results: []string{"planned"}},
		"server dry run": {dryRun: cli.DryRunServer, left: all, results: []string{"planned"}},
		"declined":       {answer: declined, left: all, results: []string{"planned"}, question: "Delete helper pod", err: "declined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ui := member("us", false), &screen{answer: c.answer}
			dryRun := c.dryRun
			if dryRun == "" {
				dryRun = cli.DryRunNone
			}
			r, err := Run(t.Context(), Config{
				Write: kernel.Write{DryRun: dryRun, Change: change.Options{Timeout: time.Second}},
				Select: func(context.Context) (*clusters.Selection, error) {
					return &clusters.Selection{Members: []*clusters.Member{m}}, nil
				},
				Namespace: func(*clusters.Member) string { return "shop" }, AllNamespaces: c.everywhere,
			}, ui)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if d := cmp.Diff(c.left, names(t, m)); d != "" {
				t.Error(d)
			}
			var results []string
			for _, change := range r.Changes {
				results = append(results, change.Result)
			}
			if d := cmp.Diff(c.results, results); d != "" {
				t.Error(d)
			}
			if !strings.HasPrefix(ui.question, c.question) || (ui.question == "") != (c.question == "") || len(r.EphemeralContainers) != 1 || r.EphemeralContainers[0].State != "waiting" {
				t.Errorf("question %q, ephemeral containers %+v", ui.question, r.EphemeralContainers)
			}
		})
	}
}

// TestUnreadCluster does not keep the others from being cleaned up, but the command fails.
func TestUnreadCluster(t *testing.T) {
	t.Parallel()
	us, eu := member("us", false), member("eu", true)
	run := func(members ...*clusters.Member) (*Report, error) {
		return Run(t.Context(), Config{
			Write:     kernel.Write{DryRun: cli.DryRunNone, Change: change.Options{Timeout: time.Second}},
			Select:    func(context.Context) (*clusters.Selection, error) { return &clusters.Selection{Members: members}, nil },
			Namespace: func(*clusters.Member) string { return "shop" },
		}, &screen{})
	}
	r, err := run(us, eu)
	documents.CheckValue(t, r.ProbeCleanupReport)
	if err == nil || !strings.Contains(err.Error(), "eu could not be read; there may be more") || r.Complete || len(r.Changes) != 1 || r.Changes[0].Result != v1alpha1.ResultChanged {
		t.Errorf("%v, %+v", err, r)
	}
	if r, err := run(eu); r != nil || err == nil {
		t.Errorf("%v, %+v", err, r)
	}
}
