package labtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

func rollout(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: rollout CONTEXT DEPLOYMENT...")
	}
	ts.Check(RolledOut(func(more ...string) (string, error) {
		return run(ts, "kubectl", slices.Concat([]string{"--context", args[0], "-n", ts.Getenv("NS")}, more)...)
	}, args[1:]...))
}

// RolledOut waits until Deployments are rolled out and the EndpointSlices of their namespace are as its pods are. kubectl rollout status alone
// returns too early: the status of a Deployment may be from before its pod was evicted, and EndpointSlices follow the pods a moment later.
// kubectl runs kubectl in one context and namespace.
func RolledOut(kubectl func(args ...string) (string, error), deployments ...string) error {
	if _, err := kubectl(append([]string{"rollout", "status", "--timeout=" + watchdog.String()}, deployments...)...); err != nil {
		return err
	}
	deadline := time.Now().Add(watchdog)
	for {
		out, err := kubectl("get", "deployments,services,pods,endpointslices", "-o", "json")
		if err != nil {
			return err
		}
		late, err := behind([]byte(out), deployments)
		if err != nil || late == "" {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New(late)
		}
		time.Sleep(100 * time.Millisecond) // between two looks; what is waited for is the condition
	}
}

// behind says which of the named Deployments has too few pods, or which EndpointSlices are not as the pods are, in a list of Deployments,
// Services, pods and EndpointSlices of one namespace.
func behind(list []byte, deployments []string) (string, error) {
	var kinds struct{ Items []json.RawMessage }
	if err := json.Unmarshal(list, &kinds); err != nil {
		return "", err
	}
	var awaited []appsv1.Deployment
	var services []corev1.Service
	var pods []corev1.Pod
	served := map[string][]string{} // ready addresses by Service
	for _, raw := range kinds.Items {
		var kind metav1.TypeMeta
		if err := json.Unmarshal(raw, &kind); err != nil {
			return "", err
		}
		var err error
		switch kind.Kind {
		case "Deployment":
			var d appsv1.Deployment
			err = json.Unmarshal(raw, &d)
			if slices.ContainsFunc(deployments, func(arg string) bool { return path.Base(arg) == d.Name }) {
				awaited = append(awaited, d)
			}
		case "Service":
			services = append(services, corev1.Service{})
			err = json.Unmarshal(raw, &services[len(services)-1])
		case "Pod":
			pods = append(pods, corev1.Pod{})
			err = json.Unmarshal(raw, &pods[len(pods)-1])
		case "EndpointSlice":
			var s discoveryv1.EndpointSlice
			err = json.Unmarshal(raw, &s)
			for _, e := range s.Endpoints {
				if e.Conditions.Ready == nil || *e.Conditions.Ready {
					name := s.Labels[discoveryv1.LabelServiceName]
					served[name] = append(served[name], e.Addresses...)
				}
			}
		}
		if err != nil {
			return "", err
		}
	}
	for _, d := range awaited {
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err != nil {
			return "", err
		}
		var running int32
		for _, p := range pods {
			if ready(p) && selector.Matches(labels.Set(p.Labels)) {
				running++
			}
		}
		if want := ptr.Deref(d.Spec.Replicas, 1); running != want {
			return fmt.Sprintf("deployment %s has %d of %d ready pods", d.Name, running, want), nil
		}
	}
	for _, svc := range services {
		if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		var there []string
		for _, p := range pods {
			if !labels.SelectorFromSet(svc.Spec.Selector).Matches(labels.Set(p.Labels)) {
				continue
			}
			if !ready(p) && !svc.Spec.PublishNotReadyAddresses {
				continue
			}
			there = append(there, p.Status.PodIP)
			if ready(p) && !slices.Contains(served[svc.Name], p.Status.PodIP) {
				return fmt.Sprintf("pod %s is not in the EndpointSlices of %s", p.Name, svc.Name), nil
			}
		}
		for _, address := range served[svc.Name] {
			if !slices.Contains(there, address) {
				return fmt.Sprintf("the EndpointSlices of %s have %s, but no ready pod has it", svc.Name, address), nil
			}
		}
	}
	return "", nil
}

func ready(p corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
