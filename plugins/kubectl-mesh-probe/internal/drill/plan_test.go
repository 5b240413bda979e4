package drill

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

var shopWeb = routing.Key{Namespace: "shop", Name: "web"}

// mesh makes a snapshot: the ready endpoints and the annotations of Service shop/web in each cluster; -1 is a cluster without the Service.
func mesh(annotations map[string]string, ready ...int) *routing.Snapshot {
	snap := &routing.Snapshot{}
	for i, n := range ready {
		c := routing.Cluster{Name: []string{"us", "eu", "ap"}[i], Version: cilium.ParseVersion("1.20.2"), DefaultGlobalNamespace: true, PeersKnown: true, Peers: []string{"us", "eu", "ap"}[:len(ready)], Services: map[routing.Key]*routing.Service{}}
		if n >= 0 {
			svc := &routing.Service{Key: shopWeb, Type: "ClusterIP", ClusterIPs: []netip.Addr{netip.MustParseAddr("172.20.1.5")}, Annotations: annotations, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
			for e := range n {
				svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Addr: netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", i+1, e+1)), Ready: true, Serving: true, Ports: svc.Ports})
			}
			c.Services[shopWeb] = svc
		}
		snap.Clusters = append(snap.Clusters, c)
	}
	return snap
}

func with(pairs ...string) map[string]string {
	out := map[string]string{cilium.AnnotationGlobal: "true"}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func TestForesee(t *testing.T) {
	t.Parallel()
	terminating := mesh(with(), 2, 1)
	terminating.Clusters[1].Services[shopWeb].Endpoints[0].Ready, terminating.Clusters[1].Services[shopWeb].Endpoints[0].Terminating = false, true
	gap := mesh(with(), 2, 2)
	gap.Clusters[1].Gap, gap.Clusters[1].Services = "timeout", nil
	stranger := mesh(with(), 2, 2)
	stranger.Clusters[1].PeersKnown, stranger.Clusters[1].Peers = false, nil
	// ap keeps its own backends, whoever its peers are.
	own := mesh(with(), 2, 2, 2)
	own.Clusters[2].PeersKnown, own.Clusters[2].Peers = false, nil
	needy := mesh(with(), 2, 2, 0)
	needy.Clusters[2].PeersKnown, needy.Clusters[2].Peers = false, nil
	ownLocal := mesh(with(), 2, 2, 2)
	ownLocal.Clusters[2].PeersKnown, ownLocal.Clusters[2].Peers = false, nil
	ownLocal.Clusters[2].Services[shopWeb].Annotations = with(cilium.AnnotationAffinity, "local")
	headless := mesh(with(), 2, 2)
	headless.Clusters[0].Services[shopWeb].Headless = true
	local := func(snap *routing.Snapshot, strangers ...string) *routing.Snapshot {
		for i := range snap.Clusters {
			c := &snap.Clusters[i]
			c.Services[shopWeb].InternalLocal, c.PeersKnown = true, !slices.Contains(strangers, c.Name)
		}
		return snap
	}
	for name, c := range map[string]struct {
		snap     *routing.Snapshot
		with     drillrecord.With
		affected string
		err      string
	}{
		"another answers":             {mesh(with(), 2, 2), drillrecord.Scale, "eu us", ""},
		"three clusters":              {mesh(with(), 2, 2, 0), drillrecord.Evict, "ap eu us", ""},
		"nobody else":                 {mesh(with(), 2, 0), drillrecord.Scale, "", "clients in us, eu would have no backend"},
		"only a terminating one":      {terminating, drillrecord.Scale, "", "would have no backend"},
		"not global":                  {mesh(nil, 2, 2), drillrecord.Scale, "", "clients in us would have no backend"},
		"affinity local":              {mesh(with(cilium.AnnotationAffinity, "local"), 2, 2), drillrecord.Scale, "us", ""},
		"affinity remote":             {mesh(with(cilium.AnnotationAffinity, "remote"), 2, 2), drillrecord.Scale, "eu", ""},
		"shared":                      {mesh(with(), 2, 2), drillrecord.Shared, "eu", ""},
		"shared, nobody else":         {mesh(with(), 2, 0), drillrecord.Shared, "", "clients in eu would have no backend"},
		"shared, local":               {mesh(with(cilium.AnnotationAffinity, "local"), 2, 2), drillrecord.Shared, "", "--with shared would change nothing"},
		"no client uses it":           {mesh(with(cilium.AnnotationShared, "false"), 0, 2), drillrecord.Scale, "", "would have no backend"},
		"a cluster without a Service": {mesh(with(), 2, 2, -1), drillrecord.Scale, "eu us", ""},
		"a cluster was not read":      {gap, drillrecord.Scale, "", "cannot determine whether another cluster can answer: cluster eu could not be read (timeout)"},
		"unknown peers":               {needy, drillrecord.Scale, "", "cannot determine whether another cluster can answer: clients in ap: the peers of the cluster could not be read"},
		"unknown peers, own backends": {stranger, drillrecord.Scale, "eu us", ""},
		"a third cluster's peers":     {own, drillrecord.Scale, "ap eu us", ""},
		"the same, affinity local":    {ownLocal, drillrecord.Scale, "eu us", ""},
		"the same, on nodes":          {local(mesh(with(), 2, 2, 2), "ap"), drillrecord.Scale, "", "in ap, clients on nodes without an endpoint of shop/web would have no backend"},
		"headless":                    {headless, drillrecord.Scale, "", "do not reach the Service through Cilium's load balancing (headless)"},
		"nodes without an endpoint":   {local(mesh(with(), 2, 2)), drillrecord.Scale, "", "in eu, clients on nodes without an endpoint of shop/web would have no backend"},
		"nodes, a third cluster":      {local(mesh(with(), 2, 2, 1)), drillrecord.Scale, "ap eu us", ""},
	} {
		f := foresee(c.snap, "us", shopWeb, 80, c.with)
		err := f.err("us", c.with, []string{"us", "eu", "ap"})
		if c.err != "" {
			if name == "no client uses it" && err != nil {
				continue // nothing is there to take away: any reason will do
			}
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", name, err, c.err)
			}
			continue
		}
		var affected []string
		for _, n := range []string{"ap", "eu", "us"} {
			if f.affected[n] {
				affected = append(affected, n)
			}
		}
		if err != nil || strings.Join(affected, " ") != c.affected {
			t.Errorf("%s: %v, affected %v, want %s", name, err, affected, c.affected)
		}
		for _, s := range f.shifts {
			after := 0.0
			for _, sh := range s.Shares {
				after += sh.After
				if sh.Cluster == "us" && f.affected[s.Client] && sh.After != 0 {
					t.Errorf("%s: %s keeps %v of us", name, s.Client, sh.After)
				}
			}
			if after < 0.999 || after > 1.001 {
				t.Errorf("%s: the shares of %s add up to %v", name, s.Client, after)
			}
		}
	}
}

// A drill whose clients are not affected would prove nothing, and its expectations would judge nobody.
func TestNoAffectedClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		annotations map[string]string
		with        drillrecord.With
		clients     string
		refused     bool
	}{
		"affinity local, from eu":   {with(cilium.AnnotationAffinity, "local"), drillrecord.Scale, "eu", true},
		"affinity local, from both": {with(cilium.AnnotationAffinity, "local"), drillrecord.Scale, "us eu", false},
		"shared, from us":           {with(), drillrecord.Shared, "us", true},
		"shared, from eu":           {with(), drillrecord.Shared, "eu", false},
		"affinity remote, from us":  {with(cilium.AnnotationAffinity, "remote"), drillrecord.Evict, "us", true},
	} {
		err := foresee(mesh(c.annotations, 2, 2), "us", shopWeb, 80, c.with).err("us", c.with, strings.Fields(c.clients))
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "--from-clusters") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func controlled(name, apiVersion, kind, owner string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "web"}}}
	if kind != "" {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: owner, Controller: ptr.To(true)}}
	}
	return p
}

func owned(manager, fields string) []metav1.ManagedFieldsEntry {
	return []metav1.ManagedFieldsEntry{{Manager: manager, FieldsV1: metav1.NewFieldsV1(fields)}}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	deployment := func(manager string) workload {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web", ManagedFields: owned(manager, `{"f:spec":{"f:replicas":{}}}`)}}
		return workload{kind: change.Deployment, object: d, replicas: 2}
	}
	service := func(ann map[string]string, manager, fields string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: ann, ManagedFields: owned(manager, fields)}}
	}
	plain := service(with(), "kubectl", `{"f:spec":{"f:ports":{}}}`)
	pods := []corev1.Pod{controlled("web-1", "apps/v1", "ReplicaSet", "web"), controlled("web-2", "apps/v1", "ReplicaSet", "web")}
	scaler := func(kind, name string, owners ...metav1.OwnerReference) autoscalingv2.HorizontalPodAutoscaler {
		return autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "web-scaler", OwnerReferences: owners},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: kind, Name: name}}}
	}
	budget := func(allowed int32, app string) policyv1.PodDisruptionBudget {
		return policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web-budget"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
			Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed}}
	}
	scaled, err := parseScaled([]byte(`{"items":[{"metadata":{"name":"web-keda"},"spec":{"scaleTargetRef":{"name":"web"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	stateful := func(whenScaled appsv1.PersistentVolumeClaimRetentionPolicyType, claims ...string) workload {
		s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}}
		s.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenScaled: whenScaled}
		for _, name := range claims {
			s.Spec.VolumeClaimTemplates = append(s.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
		return workload{kind: change.StatefulSet, object: s, replicas: 2}
	}
	full := pods[0]
	full.Spec.Volumes = []corev1.Volume{
		{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}, {Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}},
	}
	empty := deployment("kubectl")
	empty.replicas = 0
	for name, c := range map[string]struct {
		b    backends
		with drillrecord.With
		want string // "" is not refused
		note string
	}{
		"scale":                               {backends{service: plain, pods: pods, workloads: []workload{deployment("kubectl-scale")}}, drillrecord.Scale, "", ""},
		"an autoscaler":                       {backends{service: plain, pods: pods, workloads: []workload{deployment("kubectl")}, scalers: []autoscalingv2.HorizontalPodAutoscaler{scaler("Deployment", "web")}}, drillrecord.Scale, "HorizontalPodAutoscaler web-scaler owns the replicas of deployment/web", ""},
		"the autoscaler of another":           {backends{service: plain, pods: pods, workloads: []workload{deployment("kubectl")}, scalers: []autoscalingv2.HorizontalPodAutoscaler{scaler("Deployment", "api"), scaler("StatefulSet", "web")}}, drillrecord.Scale, "", ""},
		"KEDA's autoscaler":                   {backends{service: plain, pods: pods, workloads: []workload{deployment("kubectl")}, scalers: []autoscalingv2.HorizontalPodAutoscaler{scaler("Deployment", "web", metav1.OwnerReference{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "web-keda"})}}, drillrecord.Scale, "KEDA (ScaledObject web-keda) owns the replicas", ""},
		"KEDA":                                {backends{service: plain, pods: pods, workloads: []workload{deployment("kubectl")}, scaled: scaled}, drillrecord.Scale, "KEDA (ScaledObject web-keda) owns the replicas", ""},
		"Argo CD":                             {backends{service: plain, pods: pods, workloads: []workload{deployment("argocd-controller")}}, drillrecord.Scale, "Argo CD owns the replicas of deployment/web", ""},
		"Flux":                                {backends{service: plain, pods: pods, workloads: []workload{deployment("kustomize-controller")}}, drillrecord.Scale, "Flux owns the replicas of deployment/web", ""},
		"an operator":                         {backends{service: plain, pods: pods, workloads: []workload{deployment("web-operator")}}, drillrecord.Scale, `field manager "web-operator" owns the replicas`, ""},
		"an autoscaler that is gone":          {backends{service: plain, pods: pods, workloads: []workload{deployment("kube-controller-manager")}}, drillrecord.Scale, "", ""},
		"Helm":                                {backends{service: plain, pods: pods, workloads: []workload{deployment("helm")}}, drillrecord.Scale, "", "an upgrade during the drill"},
		"an earlier drill":                    {backends{service: plain, pods: pods, workloads: []workload{deployment("mesh-probe")}}, drillrecord.Scale, "", ""},
		"scaled to 0":                         {backends{service: plain, pods: pods, workloads: []workload{empty}}, drillrecord.Scale, "scaled to 0 already", ""},
		"a Rollout":                           {backends{service: plain, pods: pods, stray: []string{"replicaset/web (controlled by Rollout web)"}}, drillrecord.Scale, "controlled by Rollout web", ""},
		"no pods":                             {backends{service: plain}, drillrecord.Scale, "has no pod in us", ""},
		"other Services":                      {backends{service: plain, pods: pods, workloads: []workload{deployment("kubectl")}, others: []string{"api"}}, drillrecord.Scale, "", "other Services of the namespace"},
		"a StatefulSet that deletes its data": {backends{service: plain, pods: pods, workloads: []workload{stateful(appsv1.DeletePersistentVolumeClaimRetentionPolicyType, "data")}}, drillrecord.Scale, "statefulset/db deletes its PersistentVolumeClaims when it is scaled to 0", ""},
		"a StatefulSet that keeps its data":   {backends{service: plain, pods: pods, workloads: []workload{stateful(appsv1.RetainPersistentVolumeClaimRetentionPolicyType, "data")}}, drillrecord.Scale, "", ""},
		"a StatefulSet without claims":        {backends{service: plain, pods: pods, workloads: []workload{stateful(appsv1.DeletePersistentVolumeClaimRetentionPolicyType)}}, drillrecord.Scale, "", ""},
		"a StatefulSet that deletes its data, evict": {backends{service: plain, pods: pods, workloads: []workload{stateful(appsv1.DeletePersistentVolumeClaimRetentionPolicyType, "data")}}, drillrecord.Evict, "", ""},
		"volumes of the pods, scale":                 {backends{service: plain, pods: []corev1.Pod{full, full}, workloads: []workload{deployment("kubectl")}}, drillrecord.Scale, "", "is not restored: emptyDir cache, ephemeral scratch"},
		"volumes of the pods, evict":                 {backends{service: plain, pods: []corev1.Pod{full}}, drillrecord.Evict, "", "is not restored: emptyDir cache, ephemeral scratch"},
		"evict":                                      {backends{service: plain, pods: pods}, drillrecord.Evict, "", ""},
		"a budget allows it":                         {backends{service: plain, pods: pods, budgets: []policyv1.PodDisruptionBudget{budget(2, "web"), budget(0, "api")}}, drillrecord.Evict, "", ""},
		"a budget does not":                          {backends{service: plain, pods: pods, budgets: []policyv1.PodDisruptionBudget{budget(1, "web")}}, drillrecord.Evict, "PodDisruptionBudget web-budget allows 1 evictions now, and the drill needs 2", ""},
		"a bare pod":                                 {backends{service: plain, pods: []corev1.Pod{controlled("web", "", "", "")}}, drillrecord.Evict, "nothing controls pod web", ""},
		"shared":                                     {backends{service: plain}, drillrecord.Shared, "", ""},
		"shared, not global":                         {backends{service: service(nil, "kubectl", `{}`)}, drillrecord.Shared, "is not global in us", ""},
		"shared, not shared":                         {backends{service: service(with(cilium.AnnotationShared, "false"), "kubectl", `{}`)}, drillrecord.Shared, "is not shared in us", ""},
		"shared, Argo CD":                            {backends{service: service(with(cilium.AnnotationShared, "true"), "argocd-controller", `{"f:metadata":{"f:annotations":{"f:service.cilium.io/shared":{}}}}`)}, drillrecord.Shared, "Argo CD owns the annotation", ""},
		"shared, an operator":                        {backends{service: service(with(), "web-operator", `{"f:spec":{"f:ports":{}}}`)}, drillrecord.Shared, "owns the annotation", ""},
		"shared, Argo CD's Service":                  {backends{service: service(with(), "argocd-controller", `{"f:spec":{"f:ports":{}}}`)}, drillrecord.Shared, "", ""},
	} {
		reasons, notes := refusals(&c.b, c.with, "us")
		got, note := strings.Join(reasons, "; "), strings.Join(notes, "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) || !strings.Contains(note, c.note) {
			t.Errorf("%s: %q, note %q, want %q %q", name, got, note, c.want, c.note)
		}
	}
}
