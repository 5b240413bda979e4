package helper

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// selectors reads everything in a namespace that may select a pod with copied labels. What cannot be read ends it: a guess could send a Service's
// requests to the helper pod.
func selectors(ctx context.Context, client kubernetes.Interface, namespace string, timeout time.Duration) ([]Selector, error) {
	var out []Selector
	for _, read := range []func(context.Context, kubernetes.Interface, string) ([]Selector, error){services, replicaSets, daemonSets, replicationControllers} {
		found, err := fanout.Within(ctx, timeout, func(ctx context.Context) ([]Selector, error) { return read(ctx, client, namespace) })
		if apierrors.IsForbidden(err) {
			err = &permissions.MissingError{Permissions: needed(namespace), Err: err}
		}
		if err != nil {
			return nil, fmt.Errorf("--copy-labels: cannot determine what would select the helper pod: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// accessSelectors are the rules for reading what selects pods.
var accessSelectors = []permissions.Access{
	{Resource: "services", Verbs: []string{"list"}}, {Group: "apps", Resource: "replicasets", Verbs: []string{"list"}},
	{Group: "apps", Resource: "daemonsets", Verbs: []string{"list"}}, {Resource: "replicationcontrollers", Verbs: []string{"list"}},
}

func needed(namespace string) []permissions.Permission {
	var out []permissions.Permission
	for _, a := range accessSelectors {
		out = append(out, a.In(namespace, "")...)
	}
	return out
}

func services(ctx context.Context, client kubernetes.Interface, namespace string) ([]Selector, error) {
	list, err := client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []Selector
	for i := range list.Items {
		if s, ok := service(list.Items[i].Name, list.Items[i].Spec.Selector); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

func replicaSets(ctx context.Context, client kubernetes.Interface, namespace string) ([]Selector, error) {
	list, err := client.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []Selector
	for i := range list.Items {
		s, err := controller("replicaset", list.Items[i].Name, list.Items[i].Spec.Selector)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func daemonSets(ctx context.Context, client kubernetes.Interface, namespace string) ([]Selector, error) {
	list, err := client.AppsV1().DaemonSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []Selector
	for i := range list.Items {
		s, err := controller("daemonset", list.Items[i].Name, list.Items[i].Spec.Selector)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func replicationControllers(ctx context.Context, client kubernetes.Interface, namespace string) ([]Selector, error) {
	list, err := client.CoreV1().ReplicationControllers(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []Selector
	for i := range list.Items {
		s, err := controller("replicationcontroller", list.Items[i].Name, &metav1.LabelSelector{MatchLabels: list.Items[i].Spec.Selector})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
