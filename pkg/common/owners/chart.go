package owners

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Chart is the Helm chart that Cilium was installed from, as far as objects in the cluster tell. Up to 1.19 Cilium's own chart leaves no mark of itself.
type Chart struct {
	// Name is the chart's, such as cilium or rke2-cilium; empty where nothing tells.
	Name, Version string
	// Mark is what told.
	Mark string
	// Official says that it is Cilium's own chart.
	Official bool
	// Controller says that the Helm controller of RKE2 or K3s runs Helm in the cluster: what another Helm writes is undone at its next run.
	Controller bool
}

// The chart that the Cilium project publishes.
const (
	OfficialChart = "cilium"
	// OfficialRepository serves it. A repository that a person added under a name of their own is not known here.
	OfficialRepository = "https://helm.cilium.io/"
)

// rke2Prefix begins the names of RKE2's charts and releases.
const rke2Prefix = "rke2-"

const (
	labelChart           = "helm.sh/chart"
	annotationController = "objectset.rio.cattle.io/id" // the Helm controller of K3s and RKE2 marks what it installs
	controllerID         = "helm-controller"
)

// chartLabel splits the value of helm.sh/chart, which is NAME-VERSION with "_" for "+".
var chartLabel = regexp.MustCompile(`^(.+?)-(v?[0-9]+\.[0-9]+\.[0-9]+.*)$`)

// ChartOf tells the chart from the metadata of the objects that it makes and the name of its release, which may be empty.
func ChartOf(objects []metav1.ObjectMeta, release string) Chart {
	var c Chart
	for _, m := range slices.SortedFunc(slices.Values(objects), func(a, b metav1.ObjectMeta) int { return cmp.Compare(a.Name, b.Name) }) {
		if found := chartLabel.FindStringSubmatch(m.Labels[labelChart]); found != nil && c.Name == "" {
			c.Name, c.Version, c.Mark = found[1], strings.ReplaceAll(found[2], "_", "+"), "label "+labelChart
		}
		if strings.HasPrefix(m.Annotations[annotationController], controllerID) {
			c.Controller = true
		}
	}
	if strings.HasPrefix(release, rke2Prefix) || IsRKE2Chart(c.Name) {
		c.Controller = true
		if c.Name == "" {
			c.Name, c.Mark = release, "the name of release "+release
		}
	}
	// The label names Cilium's chart too where another chart has it as a part; a release of that one usually has a name of its own.
	c.Official = c.Name == OfficialChart && !c.Controller && (release == "" || release == OfficialChart)
	return c
}

// IsRKE2Chart reports whether a chart of this name is one that RKE2 installs with its Helm controller.
func IsRKE2Chart(name string) bool { return strings.HasPrefix(name, rke2Prefix) }

// Release is the name and the namespace of the Helm release that an object belongs to, empty if it names none.
func Release(m metav1.ObjectMeta) (name, namespace string) {
	return m.Annotations[AnnotationRelease], m.Annotations[AnnotationReleaseNamespace]
}

// String names the chart for a sentence.
func (c Chart) String() string { return strings.TrimSpace(c.Name + " " + c.Version) }
