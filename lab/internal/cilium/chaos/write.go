package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// workers write into one cluster at once.
	workers = 8
	// rangeName is the ServiceCIDR that is added: the lab's clusters have room for 250 Services.
	rangeName     = "meshlab-chaos"
	retryInterval = 100 * time.Millisecond

	configNamespace, configName = "kube-system", "cilium-config"
)

// ErrPresent says that a cluster has Services of an earlier call.
var ErrPresent = errors.New("there are Services of an earlier chaos-services")

// Target is where a cluster is reached.
type Target struct {
	Cluster
	ID         int
	Kubeconfig string
}

// serviceRange is the cluster's further range of Service addresses: a part of 100.64.0.0/10, which no pod or Service of
// the lab has.
func (t Target) serviceRange() string {
	return fmt.Sprintf("100.%d.%d.0/18", 64+t.ID/4, t.ID%4*64)
}

type clients struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
}

func (t Target) connect() (*clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", t.Kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no throttling: it is our own server
	config.WarningHandler = rest.NoWarnings{}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	kube, err := kubernetes.NewForConfig(config)
	return &clients{kube, dyn}, err
}

// each does something in all clusters at once.
func each(ctx context.Context, targets []Target, do func(context.Context, Target, *clients) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, t := range targets {
		group.Go(func() error {
			c, err := t.connect()
			if err == nil {
				err = do(ctx, t, c)
			}
			if err != nil {
				return fmt.Errorf("cluster %q: %w", t.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Write makes the plan's objects. Nothing is written if a cluster has such objects already.
func Write(ctx context.Context, targets []Target, p *Plan) error {
	err := each(ctx, targets, func(ctx context.Context, _ Target, c *clients) error {
		left, err := c.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: Label})
		if err == nil && len(left.Items) > 0 {
			return fmt.Errorf("%w (namespace %s)", ErrPresent, left.Items[0].Name)
		}
		return err
	})
	if err != nil {
		return err
	}
	return each(ctx, targets, func(ctx context.Context, t Target, c *clients) error {
		if settings, ok := p.Settings[t.Name]; ok {
			varied := t.Cluster
			varied.Settings = settings
			if err := c.configure(ctx, varied, "varied"); err != nil {
				return err
			}
		}
		return c.write(ctx, t, p.content(t.Cluster))
	})
}

// configure writes a cluster's settings into Cilium's ConfigMap. The mark says that they are not those of the lab; "" removes it.
func (c *clients) configure(ctx context.Context, cluster Cluster, mark string) error {
	annotation := &mark
	if mark == "" {
		annotation = nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]*string{Label: annotation}},
		"data":     cluster.config(),
	})
	if err != nil {
		return err
	}
	_, err = c.kube.CoreV1().ConfigMaps(configNamespace).Patch(ctx, configName, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// restore writes the settings of the lab back if they were varied.
func (c *clients) restore(ctx context.Context, cluster Cluster) error {
	config, err := c.kube.CoreV1().ConfigMaps(configNamespace).Get(ctx, configName, metav1.GetOptions{})
	if err != nil || config.Annotations[Label] == "" {
		return err
	}
	return c.configure(ctx, cluster, "")
}

func (c *clients) write(ctx context.Context, t Target, objects content) error {
	cidr := &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: rangeName, Labels: map[string]string{Label: "true"}},
		Spec:       networkingv1.ServiceCIDRSpec{CIDRs: []string{t.serviceRange()}},
	}
	if _, err := c.kube.NetworkingV1().ServiceCIDRs().Create(ctx, cidr, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	err := parallel(ctx, objects.namespaces, func(ctx context.Context, i int) error {
		_, err := c.kube.CoreV1().Namespaces().Create(ctx, objects.namespaces[i], metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	err = parallel(ctx, objects.services, func(ctx context.Context, i int) error {
		svc := objects.services[i]
		return untilRoom(ctx, func() error {
			_, err := c.kube.CoreV1().Services(svc.Namespace).Create(ctx, svc, metav1.CreateOptions{})
			return err
		})
	})
	if err != nil {
		return err
	}
	err = parallel(ctx, objects.slices, func(ctx context.Context, i int) error {
		_, err := c.kube.DiscoveryV1().EndpointSlices(objects.slices[i].Namespace).Create(ctx, objects.slices[i], metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return parallel(ctx, objects.policies, func(ctx context.Context, i int) error {
		o := objects.policies[i]
		resource := schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
		if o.GetKind() == "CiliumNetworkPolicy" {
			resource = schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnetworkpolicies"}
		}
		_, err := c.dynamic.Resource(resource).Namespace(o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{})
		return err
	})
}

// parallel does something for each item, several at once.
func parallel[T any](ctx context.Context, items []T, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range items {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// untilRoom repeats a creation that finds no address: the API server uses a new range a moment after it was made.
func untilRoom(ctx context.Context, create func() error) error {
	for {
		err := create()
		if err == nil || !strings.Contains(err.Error(), "range is full") {
			return err
		}
		if waitErr := pause(ctx); waitErr != nil {
			return fmt.Errorf("%w (%w)", err, waitErr)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(retryInterval):
		return nil
	}
}

// Remove removes what Write made, by the label and not by a plan, and waits until it is gone. Only the range of Service
// addresses stays: it takes Kubernetes ten seconds to let one go, and it does no harm.
func Remove(ctx context.Context, targets []Target) error {
	return each(ctx, targets, func(ctx context.Context, t Target, c *clients) error {
		if err := c.restore(ctx, t.Cluster); err != nil {
			return err
		}
		namespaces := c.kube.CoreV1().Namespaces()
		for {
			left, err := namespaces.List(ctx, metav1.ListOptions{LabelSelector: Label})
			if err != nil {
				return err
			}
			if len(left.Items) == 0 {
				break
			}
			for _, n := range left.Items {
				if n.DeletionTimestamp != nil {
					continue
				}
				if err := namespaces.Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					return err
				}
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
