package labtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func rollout(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: rollout CONTEXT DEPLOYMENT...")
	}
	kubectl := func(more ...string) (string, error) {
		return run(ts, "kubectl", slices.Concat([]string{"--context", args[0], "-n", ts.Getenv("NS")}, more)...)
	}
	_, err := kubectl(append([]string{"rollout", "status"}, args[1:]...)...)
	ts.Check(err)
	deadline := time.Now().Add(watchdog)
	for {
		out, err := kubectl("get", "services,pods,endpointslices", "-o", "json")
		ts.Check(err)
		late, err := behind([]byte(out))
		ts.Check(err)
		if late == "" {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %s", args[0], late)
		}
		time.Sleep(100 * time.Millisecond) // between two looks; what is waited for is the condition
	}
}

// behind says which EndpointSlices are not as the pods are, in a list of Services, pods and EndpointSlices of one namespace.
func behind(list []byte) (string, error) {
	var kinds struct{ Items []json.RawMessage }
	if err := json.Unmarshal(list, &kinds); err != nil {
		return "", err
	}
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
