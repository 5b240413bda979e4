package vnode

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
)

const (
	// heartbeatPeriod is how often the Ready condition is renewed, as by a kubelet whose status does not change.
	heartbeatPeriod = 5 * time.Minute
	// retryRegister is the pause while an API server is not there yet.
	retryRegister = 200 * time.Millisecond
	// KubeletVersion is what the nodes say; the API server of the lab has the same.
	KubeletVersion = "v1.37.2"
)

// register creates the Node object, waiting for the API server as long as it takes.
func (c *Cluster) register(ctx context.Context, n *node) error {
	for said := false; ; {
		err := c.tryRegister(ctx, n)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) && said {
			return fmt.Errorf("register node %q: %w", n.Name, err)
		}
		if !said {
			c.logf("register node %s: %v; trying again", n.Name, err)
			said = true
		}
		select {
		case <-time.After(retryRegister):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Cluster) tryRegister(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	nodes := c.client.CoreV1().Nodes()
	obj := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{
			corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH,
		}},
		Spec: corev1.NodeSpec{PodCIDR: n.PodCIDR, PodCIDRs: []string{n.PodCIDR}, ProviderID: "meshlab://" + c.Cluster.Name + "/" + n.Name},
	}
	if _, err := nodes.Create(ctx, obj, metav1.CreateOptions{FieldManager: "kubelet"}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return c.renew(ctx, n)
}

// renew writes the node's status.
func (c *Cluster) renew(ctx context.Context, n *node) error {
	patch, err := json.Marshal(map[string]any{"status": nodeStatus(n, time.Now())})
	if err != nil {
		return err
	}
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		_, err := c.client.CoreV1().Nodes().Patch(ctx, n.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "kubelet"}, "status")
		return err
	})
}

// heartbeat keeps the Ready conditions fresh.
func (c *Cluster) heartbeat(ctx context.Context) {
	tick := time.NewTicker(heartbeatPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, n := range c.nodes {
			func() {
				ctx, cancel := context.WithTimeout(ctx, apiTimeout)
				defer cancel()
				if err := c.renew(ctx, n); err != nil && ctx.Err() == nil {
					c.logf("node %s: %v", n.Name, err)
				}
			}()
		}
	}
}

// nodeAddresses are the node's InternalIP and name, and, where nobody outside the pod network reaches the former,
// the address of the kubelet as an internal DNS name: a type that Cilium takes no addresses from.
func nodeAddresses(n *node) []corev1.NodeAddress {
	addresses := []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.Address}, {Type: corev1.NodeHostName, Address: n.Name}}
	if n.KubeletAddress != n.Address {
		addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalDNS, Address: n.KubeletAddress})
	}
	return addresses
}

func nodeStatus(n *node, now time.Time) corev1.NodeStatus {
	condition := func(t corev1.NodeConditionType, s corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: t, Status: s, Reason: reason, Message: message,
			LastHeartbeatTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
		}
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("250"),
	}
	return corev1.NodeStatus{
		Capacity: resources, Allocatable: resources,
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "the lab does not measure it"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "the lab does not measure it"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "the lab does not measure it"),
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "the lab's virtual node is ready"),
		},
		Addresses:       nodeAddresses(n),
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(n.KubeletPort)}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: KubeletVersion, OperatingSystem: "linux", Architecture: runtime.GOARCH,
			OSImage: "kubectl-mesh lab", ContainerRuntimeVersion: "meshlab://1", KernelVersion: "linux",
		},
	}
}
